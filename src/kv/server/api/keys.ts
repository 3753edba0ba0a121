/** Reading, writing and listing keys. */
import type { DeleteCommand, ListItem, PutCommand } from '../../store/index.js';
import type { ApiError } from './answer.js';

export type Consistency = 'linearizable' | 'stale';

export interface GetRequest {
  readonly kind: 'get';
  readonly key: Buffer;
  readonly consistency: Consistency;
  /** Only with `stale`: how old the answer may be; null: the default of 10 s. */
  readonly maxStaleness_ms: number | null;
}

export interface ListRangeRequest {
  readonly kind: 'list';
  readonly start: Buffer;
  readonly end: Buffer | null;
  readonly limit: number;
  readonly keysOnly: boolean;
  readonly consistency: Consistency;
  readonly maxStaleness_ms: number | null;
}

/** Common to all requests on keys. */
export interface RequestContext {
  /** From now; the request is answered by then, with 503 or 504 if need be. */
  readonly timeout_ms: number;
  /** `X-Quorate-No-Forward: 1`: a node that does not lead the key's shard answers `wrong_shard`, but to reads that may be stale. */
  readonly noForward: boolean;
  readonly requestId: string;
}

export type KvRequest =
  | (PutCommand & { readonly key: Buffer })
  | (DeleteCommand & { readonly key: Buffer })
  | GetRequest;

export type KvOutcome =
  | {
      readonly kind: 'stored';
      readonly created: boolean;
      readonly revision: number;
      readonly version: number;
      readonly shard: string;
    }
  | { readonly kind: 'deleted'; readonly revision: number; readonly shard: string }
  | {
      readonly kind: 'found';
      readonly value: Buffer;
      readonly contentType: string;
      readonly revision: number;
      readonly version: number;
      /** null: never. */
      readonly expiresIn_ms: number | null;
      readonly shard: string;
    }
  | { readonly kind: 'missing'; readonly shard: string }
  | { readonly kind: 'precondition_failed'; readonly revision: number | null; readonly shard: string }
  | { readonly kind: 'failed'; readonly error: ApiError };

export interface ListedItem extends ListItem {
  readonly expiresIn_ms: number | null;
}

export type ListOutcome =
  | {
      readonly kind: 'page';
      readonly items: readonly ListedItem[];
      /** First key of the next page (inclusive), or null at the end. */
      readonly next: Buffer | null;
    }
  | { readonly kind: 'failed'; readonly error: ApiError };

export interface KvService {
  /** The epoch of the newest map this node knows; on every answer as `X-Quorate-Epoch`. */
  epoch(): number;
  /** Calls `done` exactly once, perhaps before it returns. A callback, not a promise: this is the hot path. */
  execute(request: KvRequest, context: RequestContext, done: (outcome: KvOutcome) => void): void;
  list(request: ListRangeRequest, context: RequestContext): Promise<ListOutcome>;
}
