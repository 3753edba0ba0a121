/**
 * A shard's replicated state: which slots it serves, their records, what is remembered of writes. Deterministic: time comes
 * with the entries (the leader's stamps), the rest from rows.
 *
 * This file joins the parts: writes.ts, idempotency.ts, expiry.ts, moves.ts (guards in move-guards.ts), pages.ts change the
 * state; lists.ts, exports.ts and the queries here only read it.
 */
import type { Entry, StateEngine, StateMachine, ViewableRows } from '../../raft/index.js';
import {
  type MoveId,
  NO_SLOTS,
  SLOT_COUNT,
  type SlotRanges,
  SlotState,
  type SlotStats,
  type SlotSums,
  slotOfKey,
  slotsOf,
} from '../../shardctrl/index.js';
import { decodeCommand, isWrite } from './command-codec.js';
import type {
  ExpireCommand,
  KvCommand,
  KvResult,
  ListPage,
  ListRequest,
  LookupResult,
  MarkCommand,
} from './commands.js';
import { applyExpire, dueKeys, mayBeDue } from './expiry.js';
import { type ExportCursor, type ExportPage, exportRecords } from './exports.js';
import { recordKey } from './key-layout.js';
import { listPage } from './lists.js';
import { applyInit, applySlotCommand } from './moves.js';
import { applyPage } from './pages.js';
import { PurgePass } from './purge-pass.js';
import { applyPurge } from './purges.js';
import { decodeRecord, expiresOf, recordFault } from './record-codec.js';
import { rowFault } from './row-faults.js';
import { slotsWhere } from './slot-sets.js';
import { StoreState } from './store-state.js';
import { keptState } from './view/kept-state.js';
import { MarkedView } from './view/marked-view.js';
import { applyWrite } from './writes.js';

const MISSING: LookupResult = { kind: 'missing' };

export class KvStateMachine implements StateMachine {
  #state: StoreState | null = null;
  /** What `servedSlots` last said, and the slots' states then: they change rarely, and to compare is quicker than to look. */
  #served: SlotRanges = NO_SLOTS;
  readonly #servedAt = new Uint8Array(SLOT_COUNT);
  #rows: ViewableRows | null = null;
  /** Who waits for which mark. Of this process: a mark that nobody waits for does nothing. */
  readonly #expected = new Map<string, MarkTaker>();

  /** Rejects with `DamagedState`, or with a clear error for a layout that this build does not know. */
  async open(engine: StateEngine, rows: ViewableRows): Promise<void> {
    this.#rows = rows;
    this.#state = await StoreState.open(engine, rows);
  }

  get #opened(): StoreState {
    if (this.#state === null) throw new Error('invariant: the state machine is not open');
    return this.#state;
  }

  /** Throws only `DamagedState`: a row of this replica is not what was written. Any bytes give a result. */
  apply(entry: Entry): KvResult {
    const decoded = decodeCommand(entry.data);
    if (!('command' in decoded)) return decoded;
    if (decoded.command.kind === 'mark') return this.#mark(decoded.command, entry.index);
    const state = this.#opened;
    if (decoded.stamp_ms > state.clock_ms) state.clock_ms = decoded.stamp_ms;
    return applyCommand(state, decoded.command, entry.index);
  }

  /** The first mark of a token counts: it is the same entry on every replica that waited for it. */
  #mark({ token }: MarkCommand, index: number): KvResult {
    const taken = this.#expected.get(token);
    if (taken !== undefined) {
      this.#expected.delete(token);
      const kept = keptState(this.#opened, index);
      this.#rows?.view((snapshot) => taken(snapshot === null ? null : new MarkedView(snapshot, kept)));
    }
    return { kind: 'marked', index };
  }

  /**
   * From now on the mark of this token fixes a view of the rows as they are then, which `taken` closes; null: it never will, for
   * this state has come to its end. Returns how to stop waiting.
   */
  expectMark(token: string, taken: MarkTaker): () => void {
    this.#expected.set(token, taken);
    return () => this.#expected.delete(token);
  }

  /** The mark of this token has not come yet. Once it has, its view is there as soon as the engine has its round. */
  expectsMark(token: string): boolean {
    return this.#expected.has(token);
  }

  endRound(): void {
    this.#opened.endRound();
  }

  rowFault(key: Buffer, value: Buffer): string | null {
    return rowFault(key, value);
  }

  stateHash(): string {
    return this.#opened.stateHash();
  }

  // ------------------------------------------------------------------------- queries on the applied state, synchronous

  /** Judges ownership and expiry as of the applied state. */
  lookup(key: Uint8Array): LookupResult {
    const state = this.#opened;
    const slot = slotOfKey(key);
    if (!state.slots.control.serves(slot)) return state.notServing(slot);
    const row = state.rows.get(recordKey(key));
    if (row === undefined) return MISSING;
    const fault = recordFault(key, row);
    if (fault !== null) return { kind: 'corrupt', detail: fault };
    const expires_ms = expiresOf(row);
    if (expires_ms !== 0 && expires_ms <= state.clock_ms) return MISSING;
    return { kind: 'found', record: decodeRecord(row) };
  }

  /** The replicated clock: the largest stamp applied, milliseconds since 1970. */
  get clock_ms(): number {
    return this.#opened.clock_ms;
  }

  /** The revision of the newest write. */
  get revision(): number {
    return this.#opened.revision;
  }

  servedSlots(): SlotRanges {
    const { control } = this.#opened.slots;
    if (Buffer.compare(this.#servedAt, control.state) !== 0) {
      this.#servedAt.set(control.state);
      this.#served = slotsWhere((slot) => control.serves(slot));
    }
    return this.#served;
  }

  serves(slot: number): boolean {
    return this.#opened.slots.control.serves(slot);
  }

  stateOf(slot: number): SlotState {
    return this.#opened.slots.control.state[slot] as SlotState;
  }

  /** The move that the slot is in, or 0. */
  moveOf(slot: number): MoveId {
    return this.#opened.slots.control.move[slot]!;
  }

  /** The highest move that the slot has seen here, or 0. */
  floorOf(slot: number): MoveId {
    return this.#opened.slots.control.floor[slot]!;
  }

  slotsInState(wanted: SlotState): SlotRanges {
    const { slots } = this.#opened;
    if (slots.countIn(wanted) === 0) return NO_SLOTS;
    return slotsWhere((slot) => slots.control.state[slot] === wanted);
  }

  /** Slots that have records although they are at NONE (an import was aborted): to be purged. */
  slotsWithLeftovers(): SlotRanges {
    const { leftovers } = this.#opened.slots;
    return leftovers.size === 0 ? NO_SLOTS : slotsOf(leftovers);
  }

  /** Keys and bytes of slots that have any. Ascending. */
  slotStats(ranges: SlotRanges): SlotStats[] {
    const { slots } = this.#opened;
    const stats: SlotStats[] = [];
    for (const [first, last] of ranges) {
      for (let slot = first; slot <= last; slot++) {
        if (!slots.isEmpty(slot)) stats.push({ slot, keys: slots.keys[slot]!, bytes: slots.bytes[slot]! });
      }
    }
    return stats;
  }

  sums(ranges: SlotRanges): SlotSums {
    return this.#opened.slots.sums(ranges);
  }

  /** True if nothing of the slots is left: state NONE, no records. */
  purged(ranges: SlotRanges): boolean {
    const { slots } = this.#opened;
    for (const [first, last] of ranges) {
      for (let slot = first; slot <= last; slot++) {
        if (slots.control.state[slot] !== SlotState.None || !slots.isEmpty(slot)) return false;
      }
    }
    return true;
  }

  /** Of all slots that are served. */
  totals(): { readonly keys: number; readonly bytes: number } {
    const { slots } = this.#opened;
    let keys = 0;
    let bytes = 0;
    for (const [first, last] of this.servedSlots()) {
      for (let slot = first; slot <= last; slot++) {
        keys += slots.keys[slot]!;
        bytes += slots.bytes[slot]!;
      }
    }
    return { keys, bytes };
  }

  // ------------------------------- queries through the engine: the rows of all applied entries must have reached it

  /** See lists.ts. */
  listPage(request: ListRequest): Promise<ListPage> {
    return listPage(this.#opened, request);
  }

  /** See exports.ts. */
  exportRecords(
    slots: SlotRanges,
    since: number | null,
    cursor: ExportCursor | null,
    maxBytes: number,
  ): Promise<ExportPage> {
    return exportRecords(this.#opened, slots, since, cursor, maxBytes);
  }

  /** Number of the latest change that was noted while its slot was exported; counted by this process. */
  get newestNote(): number {
    return this.#opened.noted.newest;
  }

  /** How many keys and idempotency records of these slots have changed since the note of this number. */
  notedAfter(slots: SlotRanges, note: number): number {
    return this.#opened.noted.countAfter(slots, note);
  }

  /** See purge-pass.ts. */
  purgePass(move: MoveId, slots: SlotRanges): PurgePass {
    return new PurgePass(this.#opened, move, slots);
  }

  /** Without a look at the engine: false where `dueKeys` would find nothing. */
  mayBeDue(now_ms: number): boolean {
    return mayBeDue(this.#opened, now_ms);
  }

  /** See expiry.ts. */
  dueKeys(now_ms: number, limit: number): Promise<ExpireCommand | null> {
    return dueKeys(this.#opened, now_ms, limit);
  }
}

export type MarkTaker = (view: MarkedView | null) => void;

function applyCommand(state: StoreState, command: Exclude<KvCommand, MarkCommand>, index: number): KvResult {
  if (isWrite(command)) return applyWrite(state, command);
  switch (command.kind) {
    case 'expire':
      return { kind: 'expired', keys: applyExpire(state, command) };
    case 'page':
      return applyPage(state, command);
    case 'purge':
      return { kind: 'purged', left: applyPurge(state, command) };
    case 'init':
      return applyInit(state, command.slots);
    default:
      return applySlotCommand(state, command, index);
  }
}
