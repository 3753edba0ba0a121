/** What callers of the client give and get. */
import type { Clock, Random } from '../../raft/index.js';
import type { Consistency } from '../server/api.js';
import type { HttpSend } from './http-send.js';
import type { KeyInput } from './key-path.js';

export interface BasicClientOptions {
  /** Base URLs of one or more nodes: `http://127.0.0.1:7001`. The others are found through them. */
  readonly endpoints: readonly string[];
  /** For each call with all its retries. Default 10 s, at most 300 s: idempotency records live ten minutes. */
  readonly timeout_ms?: number;
  /**
   * Give up before the deadline once every node known has refused the connection twice in a row: nobody is there. For
   * people who wait; a program had better outlast a restart. Default false.
   */
  readonly failFast?: boolean;
  /** Default: axios with connections kept alive. */
  readonly send?: HttpSend;
  /** Default: the process's own clock and timers. */
  readonly clock?: Pick<Clock, 'monotonic_ms' | 'after'>;
  /** Jitter, and idempotency keys. Default: `Math.random`, and `node:crypto` for the keys. */
  readonly random?: Random;
}

export interface QuorateClientOptions extends BasicClientOptions {
  /** Fetch the shard map in the background and go straight to leaders. Default true. */
  readonly direct?: boolean;
}

export interface CallOptions {
  readonly timeout_ms?: number;
}

export interface ReadOptions extends CallOptions {
  /** Default `linearizable`. */
  readonly consistency?: Consistency;
  /** With `stale`: the oldest state that will do. */
  readonly maxStaleness_ms?: number;
}

export interface WriteOptions extends CallOptions {
  /** The revision that the key must have, or `*`: it must exist. */
  readonly ifMatch?: string;
  /** The key must not exist. */
  readonly ifNoneMatch?: '*';
  /**
   * 1 to 128 visible ASCII characters, or false for none. Default: a random one of 128 bits, so that a write can be
   * retried without a second effect.
   */
  readonly idempotencyKey?: string | false;
}

export interface PutOptions extends WriteOptions {
  /** Milliseconds, or as the API writes it (`90s`). Without it the key never expires. */
  readonly ttl?: number | string;
  /** Default `application/octet-stream`. */
  readonly contentType?: string;
}

export interface PutResult {
  readonly created: boolean;
  /** Decimal digits; larger than every earlier revision of the key. */
  readonly revision: string;
  readonly version: number;
  readonly shard: string;
}

export interface GetResult {
  readonly value: Buffer;
  readonly contentType: string;
  readonly revision: string;
  readonly version: number;
  readonly shard: string;
  /** null: never. */
  readonly expiresIn_ms: number | null;
}

export interface ListOptions extends ReadOptions {
  readonly prefix?: KeyInput;
  /** Inclusive. */
  readonly start?: KeyInput;
  /** Exclusive. */
  readonly end?: KeyInput;
  /** Of one page: 1 to 1,000, default 100. */
  readonly limit?: number;
  readonly keysOnly?: boolean;
}

export interface ListedKey {
  readonly key: Buffer;
  /** null with `keysOnly`. */
  readonly value: Buffer | null;
  readonly revision: string;
  readonly version: number;
  readonly contentType: string | null;
  readonly expiresIn_ms: number | null;
}

export interface ListedPage {
  readonly items: readonly ListedKey[];
  /** For the next page; null at the end. */
  readonly cursor: string | null;
}

export interface ReshardOptions extends CallOptions {
  readonly shards: number;
  readonly replicas?: number;
  /** Only the plan. */
  readonly dryRun?: boolean;
  readonly maxPause_ms?: number;
  /** Bytes a second that its copies may send. */
  readonly maxRate_bytes?: number;
  /** What is evened out; default: slots. */
  readonly by?: 'slots' | 'bytes' | 'keys';
  /** By shard, kept until they are changed. */
  readonly weights?: Readonly<Record<string, number>>;
  /** Shards that neither give nor take. */
  readonly excludeShards?: readonly string[];
  /** Nodes that no replica of a new shard is placed on. */
  readonly excludeNodes?: readonly string[];
}

export interface MoveOptions extends CallOptions {
  /** `0-99,200`. */
  readonly slots: string;
  /** `s2`. */
  readonly to: string;
  readonly dryRun?: boolean;
  readonly maxPause_ms?: number;
  readonly maxRate_bytes?: number;
}

export interface BalanceOptions extends CallOptions {
  /** Only the plan. */
  readonly dryRun?: boolean;
  readonly maxPause_ms?: number;
  readonly maxRate_bytes?: number;
}

export interface BalanceSettingsOptions extends CallOptions {
  /** The controller carries out what it proposes. */
  readonly auto?: boolean;
  /** A shard is overloaded when it carries so much more than its fair share. */
  readonly limitPercent?: number;
  /** It counts once it has been so for as long. */
  readonly hold_s?: number;
}

/** Node ids; at least one in all, each at most once. */
export interface ChangeMembersOptions extends CallOptions {
  readonly add?: readonly string[];
  readonly remove?: readonly string[];
}

export interface SettingsOptions extends CallOptions {
  /** So long a node has to be down (`10m`) before its replicas are made anew on others; null: they never are. */
  readonly rebuildAfter: string | null;
}

export interface VerifyOptions extends CallOptions {
  /** Those whose records are read, like `s1`. Default: all; with `plan` none, only what states keep of them is compared. */
  readonly shards?: readonly string[];
  /** Also its receipts, and whether what they prove still holds. */
  readonly plan?: string;
  /** What each node reads at most. Default 8. */
  readonly mibPerS?: number;
  /** A view that has been open for so long is given up. Default 6 hours. */
  readonly giveUp_ms?: number;
}

export type PlanAction = 'pause' | 'resume' | 'cancel';
