/**
 * What can stand in a shard's log, and what applying it answers. Codec: `command-codec.ts`.
 */
import type { MoveId, SlotAnswer, SlotCommand, SlotRanges, SlotState } from '../../shardctrl/index.js';
import type { RecordSums } from './slot-sums.js';

/** Conditions of PUT and DELETE (RFC 9110 section 13 as told in http-api.md). */
export type Condition =
  | { readonly kind: 'none' }
  | { readonly kind: 'exists' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'revision'; readonly revision: number };

export interface Idempotency {
  /** 1 to 128 visible ASCII characters. */
  readonly key: string;
  /** 16 bytes over all that makes the request what it is: method, query, conditions, type, body. */
  readonly fingerprint: Uint8Array;
}

export interface PutCommand {
  readonly kind: 'put';
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly contentType: string;
  /** 0: never expires. */
  readonly ttl_ms: number;
  readonly condition: Condition;
  readonly idempotency: Idempotency | null;
}

export interface DeleteCommand {
  readonly kind: 'delete';
  readonly key: Uint8Array;
  readonly condition: Condition;
  readonly idempotency: Idempotency | null;
}

export type WriteCommand = PutCommand | DeleteCommand;

/** Proposed by the shard's leader when keys are due; each removed only if it still has this revision, is due and its slot is served. */
export interface ExpireCommand {
  readonly kind: 'expire';
  readonly keys: readonly { readonly key: Uint8Array; readonly revision: number }[];
  readonly idempotency: readonly { readonly key: Uint8Array; readonly idempotencyKey: string }[];
}

/** One record of a slot on its way to another shard: opaque to all but kv/store. */
export type PageRecord = Uint8Array;

/** page(m) of the guards table. */
export interface PageCommand {
  readonly kind: 'page';
  readonly move: MoveId;
  /** All slots of the move, not only those of the records. */
  readonly slots: SlotRanges;
  readonly records: readonly PageRecord[];
}

/** purge batch(m): rows that the leader found by scanning; only rows of slots that are PURGING under `move`, or NONE with left-overs, go. */
export interface PurgeCommand {
  readonly kind: 'purge';
  readonly move: MoveId;
  /** By slot, ascending; at least one. */
  readonly parts: readonly SlotPurge[];
}

/** What goes of one slot, if its records are still those of `digest`; see purges.ts. */
export interface SlotPurge {
  readonly slot: number;
  readonly digest: Uint32Array;
  /** The slot's sums once it has gone. */
  readonly left: RecordSums;
  readonly keys: readonly { readonly key: Uint8Array; readonly expires_ms: number }[];
  readonly idempotency: readonly {
    readonly key: Uint8Array;
    readonly idempotencyKey: string;
    readonly expires_ms: number;
  }[];
}

/** The first entry of a shard that owns slots when the cluster is made. Accepted only on a shard that has never owned any. */
export interface InitCommand {
  readonly kind: 'init';
  readonly slots: SlotRanges;
}

/**
 * Names an index of the log at which replicas are compared: whoever was told of `token` before (`KvStateMachine.expectMark`)
 * fixes a view of its rows there. It changes nothing, not even the clock: a build that does not know it has the same state.
 */
export interface MarkCommand {
  readonly kind: 'mark';
  /** 1 to 200 visible ASCII characters. */
  readonly token: string;
}

export type KvCommand =
  | WriteCommand
  | ExpireCommand
  | PageCommand
  | PurgeCommand
  | InitCommand
  | MarkCommand
  | SlotCommand;

/** Every command carries the leader's stamp; the replicated clock is the largest stamp applied. */
export interface StampedCommand {
  readonly stamp_ms: number;
  readonly command: KvCommand;
}

export type WriteResult =
  | { readonly kind: 'stored'; readonly created: boolean; readonly revision: number; readonly version: number }
  | { readonly kind: 'deleted'; readonly revision: number }
  | { readonly kind: 'missing' }
  /** `revision` null: there is no such key. */
  | { readonly kind: 'precondition_failed'; readonly revision: number | null }
  /** The idempotency key was used for another request. */
  | { readonly kind: 'conflict' };

/** Refused at apply: this shard does not serve the slot (any more, or yet). Definitely not applied. */
export interface NotServing {
  readonly kind: 'not_serving';
  readonly slot: number;
  readonly state: SlotState;
  readonly move: MoveId;
}

/** The command's bytes are of a version, kind or shape that this build does not know. Same on every replica. */
export interface Malformed {
  readonly kind: 'malformed';
  readonly detail: string;
}

export type PageAnswer = SlotAnswer;

export type KvResult =
  | WriteResult
  | NotServing
  | Malformed
  | SlotAnswer
  | { readonly kind: 'expired'; readonly keys: number }
  | { readonly kind: 'purged'; readonly left: number }
  | { readonly kind: 'marked'; readonly index: number };

/** A record as reads see it. */
export interface KvRecord {
  readonly value: Buffer;
  readonly contentType: string;
  readonly revision: number;
  readonly version: number;
  /** Milliseconds since 1970 of the replicated clock; 0: never. */
  readonly expires_ms: number;
}

export type LookupResult =
  | { readonly kind: 'found'; readonly record: KvRecord }
  | { readonly kind: 'missing' }
  | NotServing
  /** The record's own checksum does not match (F38). */
  | { readonly kind: 'corrupt'; readonly detail: string };

export interface ListItem extends KvRecord {
  readonly key: Buffer;
}

/** One shard's page of a list, in key order. */
export interface ListPage {
  readonly items: readonly ListItem[];
  /** Slots that this page speaks for: pages of several shards may be merged only when every slot is covered exactly once. */
  readonly served: SlotRanges;
  /** Where the next page of this shard begins (inclusive), or null at the end of the range. */
  readonly next: Buffer | null;
}

export interface ListRequest {
  /** Inclusive; empty: from the beginning. */
  readonly start: Uint8Array;
  /** Exclusive; null: to the end. */
  readonly end: Uint8Array | null;
  readonly limit: number;
  readonly maxBytes: number;
  readonly keysOnly: boolean;
}
