/**
 * What the controller's driver asks of shards. Implemented by kv (by a message to the shard's leader); the answers are
 * those of the guards table in the design's resharding.md, decided by the shard's replicated state machine.
 *
 * Every command carries its move id `move`: the index of the controller's log entry that started the attempt. It is the fence.
 */
import type { GroupId, Index, NodeId } from '../raft/index.js';
import type { MemberStep, Membership } from './member-change.js';
import type { ShardMember } from './shard-map.js';
import type { SlotRanges } from './slot-ranges.js';

export type MoveId = number;

/** State of one slot in one shard (replicated there). */
export const SlotState = { None: 0, Own: 1, Exporting: 2, Frozen: 3, Purging: 4, Importing: 5 } as const;
export type SlotState = (typeof SlotState)[keyof typeof SlotState];

/** How the newest move that a slot has seen ended here. */
export const MoveOutcome = { Open: 0, Installed: 1, Aborted: 2, Undone: 3, Given: 4 } as const;
export type MoveOutcome = (typeof MoveOutcome)[keyof typeof MoveOutcome];

/** Sums over all records of a set of slots, idempotency records included in `digest` and `bytes`. */
export interface SlotSums {
  readonly keys: number;
  readonly bytes: number;
  /** 128-bit additive digest, 32 hexadecimal digits. Sums of disjoint slot sets add up. */
  readonly digest: string;
  readonly idempotencyRecords: number;
}

export interface FreezeReceipt extends SlotSums {
  /** The source's revision counter at the freeze. */
  readonly revision: number;
  /** The source's replicated clock at the freeze, milliseconds since 1970. */
  readonly clock_ms: number;
  /** Index of the Freeze entry in the source's log. */
  readonly index: number;
}

export interface InstallCommand {
  readonly kind: 'install';
  readonly move: MoveId;
  readonly round: number;
  readonly slots: SlotRanges;
  readonly digest: string;
  readonly revision: number;
  readonly clock_ms: number;
}

export type SlotCommand =
  | { readonly kind: 'begin_export'; readonly move: MoveId; readonly slots: SlotRanges }
  | { readonly kind: 'freeze'; readonly move: MoveId; readonly round: number; readonly slots: SlotRanges }
  | InstallCommand
  | { readonly kind: 'bar'; readonly move: MoveId; readonly round: number; readonly slots: SlotRanges }
  | { readonly kind: 'thaw'; readonly move: MoveId; readonly round: number; readonly slots: SlotRanges }
  | { readonly kind: 'abort_import'; readonly move: MoveId; readonly slots: SlotRanges }
  | { readonly kind: 'unfreeze'; readonly move: MoveId; readonly slots: SlotRanges }
  | { readonly kind: 'delete'; readonly move: MoveId; readonly slots: SlotRanges };

/** Refusals are final for this command unless the comment says otherwise. */
export type SlotAnswer =
  | { readonly kind: 'ok' }
  | { readonly kind: 'frozen'; readonly receipt: FreezeReceipt }
  /** `sums` of the destination at Install; `index` of the Install entry. */
  | { readonly kind: 'installed'; readonly index: number; readonly sums: SlotSums }
  | { readonly kind: 'aborted' }
  | { readonly kind: 'undone' }
  | { readonly kind: 'thawed' }
  /** Below the floor: that move is over here. */
  | { readonly kind: 'ended' }
  | { readonly kind: 'stale' }
  | { readonly kind: 'round_over' }
  /** Digests differ: drain again, then Install again. */
  | { readonly kind: 'mismatch'; readonly sums: SlotSums }
  /** Another move has these slots, or earlier data is not purged yet: retry later. */
  | { readonly kind: 'busy' };

/** Not an answer of the state machine: the command may or may not have been carried out. Every command may be repeated. */
export class ShardUnavailable extends Error {
  override readonly name = 'ShardUnavailable';
}

export interface SlotStats {
  readonly slot: number;
  readonly keys: number;
  readonly bytes: number;
}

/** Of a retired shard: the members whose data is not gone, or not known to be. */
export interface Remains {
  readonly hosting: readonly NodeId[];
  readonly silent: readonly NodeId[];
}

/** Up to where a copy has told what changed; means something only to the leader that made it. */
export interface CopyMark {
  readonly by: string;
  readonly note: number;
}

export type CopyAnswer =
  | {
      readonly kind: 'copied';
      readonly records: number;
      readonly bytes: number;
      /** Where the next copy goes on. */
      readonly mark: CopyMark;
      /** How many keys and idempotency records have changed since. */
      readonly left: number;
    }
  | { readonly kind: 'refused'; readonly answer: SlotAnswer }
  /** To the order's `install`. */
  | { readonly kind: 'answered'; readonly answer: SlotAnswer };

export type StepAnswer = { readonly kind: 'begun' } | { readonly kind: 'refused'; readonly detail: string };

/** Records that the source's leader is to send to another shard. */
export interface CopyOrder {
  readonly from: GroupId;
  readonly to: GroupId;
  readonly move: MoveId;
  readonly slots: SlotRanges;
  /** null: all records. Else what has changed since an earlier copy. */
  readonly since: CopyMark | null;
  /** At most so many bytes a second; null: as fast as it goes beside what the shards serve. */
  readonly maxRate: number | null;
  /** null: more is to come. */
  readonly install: InstallOrder | null;
}

/**
 * Goes to the destination in one breath with the last page of what is frozen: one commit for both, while clients wait. It is
 * not sent where the pages before it take longer than this; then the copy is answered as one without it.
 */
export interface InstallOrder {
  readonly command: InstallCommand;
  readonly within_ms: number;
}

/** All calls but `remains` and `sound` reject with `ShardUnavailable` after `timeout_ms` without a definite answer. */
export interface ShardPort {
  slotCommand(shard: GroupId, command: SlotCommand, timeout_ms: number): Promise<SlotAnswer>;
  /** Resolves when the destination has confirmed all, or has answered `install`; `refused` where it took a page otherwise. */
  copy(order: CopyOrder, timeout_ms: number): Promise<CopyAnswer>;
  /** Keys and bytes by slot, as of the leader's applied state; slots without data are left out. */
  slotStats(shard: GroupId, slots: SlotRanges, timeout_ms: number): Promise<readonly SlotStats[]>;
  /** True once nothing of these slots is left at the shard: state NONE, no records. */
  purged(shard: GroupId, slots: SlotRanges, timeout_ms: number): Promise<boolean>;
  /** Resolves once the shard has a leader that has committed in its term. */
  ready(shard: GroupId, timeout_ms: number): Promise<void>;
  /**
   * Gives the space of slots that left `shard` back to the disks of all members that are there. It may take longer than
   * `timeout_ms`: asked again under the same `run`, by whomever, it is the same work, and what is done is not done again.
   */
  reclaim(shard: GroupId, run: string, timeout_ms: number): Promise<void>;
  /** The configuration of a group, the controller's included, as its leader has it. */
  membership(group: GroupId, timeout_ms: number): Promise<Membership>;
  /**
   * Asks a group's leader for one step. `begun`: it is in its log, or on its way; that says nothing of its end. `refused`: not
   * possible now, in words: something has changed since `seenAt` (its `confIndex`), a newcomer has not caught up.
   */
  memberStep(group: GroupId, seenAt: Index, step: MemberStep, timeout_ms: number): Promise<StepAnswer>;
  /** Whether this replica is there, and sound; null: its node does not say. Never rejects. */
  sound(group: GroupId, member: ShardMember, timeout_ms: number): Promise<boolean | null>;
  /** Who of `members` still has data of this retired shard, as far as they answer within `timeout_ms`. Never rejects. */
  remains(shard: GroupId, members: readonly ShardMember[], timeout_ms: number): Promise<Remains>;
}
