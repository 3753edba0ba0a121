/**
 * The rows of one replica at the index of a mark, and what it kept in memory then. Replicas of one shard that have taken a view
 * at the same mark have the same to show, record by record; whatever differs is rot, or a defect.
 *
 * It takes some 5 MiB while it is read, however big the shard is. LevelDB gives back no space of rows that change or go as
 * long as the view is open.
 */
import type { EngineSnapshot } from '../../../raft/index.js';
import {
  ALL_SLOTS,
  NO_SLOTS,
  type SlotRange,
  type SlotRanges,
  type SlotSums,
  slotsOf,
  unionSlots,
} from '../../../shardctrl/index.js';
import { DamagedState } from '../damaged-state.js';
import { idempotencyStart, slotIndexKey } from '../key-layout.js';
import { BLOCK_SLOTS, BLOCKS } from '../slot-control.js';
import { slotsWhere } from '../slot-sets.js';
import { type SlotArrays, sumsOf } from '../slot-sums.js';
import { type Finding, Findings } from './findings.js';
import { isAborted, judgeRecords, judgeStored, remainsFault, wasAborted } from './judge-view.js';
import { hashOfKept, type KeptState } from './kept-state.js';
import { listRecords, type RecordListing } from './record-listing.js';
import { RecordReading } from './record-reading.js';
import { readStoredState, type StoredState } from './stored-state.js';
import { eachRow, type Pace } from './view-rows.js';

export interface ViewRequest {
  /** Read every record; else only what the state keeps beside them. */
  readonly records: boolean;
  /** Slots of which nothing must be left here. */
  readonly gone: SlotRanges;
}

/** What one replica has to say of one mark. */
export interface ViewReport {
  readonly index: number;
  /** Of the state in memory. */
  readonly stateHash: string;
  readonly served: SlotRanges;
  /** Of 256 slots each: of the records that were read, or as they are kept where none were; null: not all could be read. */
  readonly blocks: readonly SlotSums[] | null;
  readonly findings: readonly Finding[];
  /** With those that are not among `findings`. */
  readonly findingCount: number;
  /** Slots whose records, listed by key, would tell more. */
  readonly odd: SlotRanges;
}

/** Slots with left-overs; those of aborted imports, which mostly should have some, do not count. */
const REMAINS_MAX = 1_000;

/** The engine has noticed that it cannot read all rows. */
const isUnreadable = (error: unknown): error is Error =>
  error instanceof Error && (error as Error & { readonly code?: unknown }).code === 'ENGINE_DAMAGED';

const slotsOfBlock = (block: number): SlotRange => [block * BLOCK_SLOTS, (block + 1) * BLOCK_SLOTS - 1];

export class MarkedView {
  readonly #snapshot: EngineSnapshot;
  readonly #kept: KeptState;
  /** Of the records on disk, once they have been read. */
  #sums: SlotArrays;
  #reading: RecordReading | null = null;

  constructor(snapshot: EngineSnapshot, kept: KeptState) {
    this.#snapshot = snapshot;
    this.#kept = kept;
    this.#sums = kept.sums;
  }

  get index(): number {
    return this.#kept.index;
  }

  /** Keys, and bytes of records, as the state counts them. */
  get expected(): SlotSums {
    return sumsOf(this.#kept.sums, ALL_SLOTS);
  }

  /** Of the records that have been read so far. */
  get bytesRead(): number {
    return this.#reading?.recordBytes ?? 0;
  }

  /** Once. null: the pace has ended it. Rejects where the view cannot be read for a reason that says nothing about the rows. */
  async read(request: ViewRequest, pace: Pace): Promise<ViewReport | null> {
    const findings = new Findings();
    const stateHash = await hashOfKept(this.#kept, pace);
    if (stateHash === null) return null;
    try {
      const odd = await this.#judge(request, findings, pace);
      if (odd === null) return null;
      const blocks = Array.from({ length: BLOCKS }, (_, block) => sumsOf(this.#sums, [slotsOfBlock(block)]));
      return this.#report(stateHash, findings, blocks, odd);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      findings.addUnplaced('unreadable', `${error.message}: what comes after it was not read`);
      return this.#report(stateHash, findings, null, NO_SLOTS);
    }
  }

  #report(stateHash: string, { shown, count }: Findings, blocks: ViewReport['blocks'], odd: SlotRanges): ViewReport {
    const { index, control } = this.#kept;
    const served = slotsWhere((slot) => control.serves(slot));
    return { index, stateHash, served, blocks, findings: shown, findingCount: count, odd };
  }

  /** Slots that are odd; null: the pace has ended it. */
  async #judge({ records, gone }: ViewRequest, findings: Findings, pace: Pace): Promise<SlotRanges | null> {
    const stored = await this.#readStored(findings);
    if (!records) return this.#remains(gone, stored, findings, pace);
    const reading = new RecordReading(findings);
    this.#reading = reading;
    if (!(await reading.run(this.#snapshot, pace))) return null;
    this.#sums = reading.sums;
    const odd = judgeRecords(reading, this.#kept, findings);
    const left = await this.#remains(gone, stored, findings, pace);
    return left === null ? null : unionSlots(odd, left);
  }

  async #readStored(findings: Findings): Promise<StoredState | null> {
    try {
      const stored = await readStoredState(this.#snapshot);
      judgeStored(stored, this.#kept, findings);
      return stored;
    } catch (error) {
      if (!(error instanceof DamagedState)) throw error;
      findings.addUnplaced('rotten', error.message);
      return null;
    }
  }

  /** Slots that should be empty and are not. */
  async #remains(
    gone: SlotRanges,
    stored: StoredState | null,
    findings: Findings,
    pace: Pace,
  ): Promise<SlotRanges | null> {
    const left = new Map<number, number>();
    let counted = 0;
    for (const [first, last] of gone) {
      const count = (slot: number): boolean => {
        const seen = left.get(slot) ?? 0;
        if (seen === 0 && !wasAborted(this.#kept, slot)) counted++;
        left.set(slot, seen + 1);
        return counted < REMAINS_MAX;
      };
      const rows: readonly (readonly [Buffer, Buffer])[] = [
        [slotIndexKey(first), slotIndexKey(last + 1)],
        [idempotencyStart(first), idempotencyStart(last + 1)],
      ];
      for (const [from, to] of rows) {
        if (!(await eachRow(this.#snapshot, from, to, pace, ({ key }) => count(key.readUInt16BE(1))))) return null;
      }
      for (let slot = first; slot <= last; slot++) {
        if (!this.#judgeRemains(slot, left.get(slot) ?? 0, stored, findings)) left.delete(slot);
      }
    }
    return slotsOf(left.keys());
  }

  /** Whether anything should not be there. */
  #judgeRemains(slot: number, rows: number, stored: StoredState | null, findings: Findings): boolean {
    const read = this.#reading === null ? 0 : this.#sums.keys[slot]! + this.#sums.idempotency[slot]!;
    const onDisk = Math.max(rows, read);
    const aborted = isAborted(this.#kept, slot, onDisk);
    const said = stored === null ? null : remainsFault(stored, this.#kept, slot, aborted);
    const parts = [
      ...(onDisk === 0 || aborted ? [] : [`records on disk: ${onDisk}`]),
      ...(said === null ? [] : [said]),
    ];
    if (parts.length > 0) findings.add('remains', [[slot, slot]], null, parts.join(', '));
    return parts.length > 0;
  }

  /** Of each slot of a block, as in `ViewReport.blocks`. */
  slotsOf(block: number): readonly SlotSums[] {
    const [first] = slotsOfBlock(block);
    return Array.from({ length: BLOCK_SLOTS }, (_, i) => sumsOf(this.#sums, [[first + i, first + i]]));
  }

  /** The records of some slots by key; null: the pace has ended it. */
  list(slots: SlotRanges, pace: Pace): Promise<RecordListing | null> {
    return listRecords(this.#snapshot, slots, pace);
  }

  close(): Promise<void> {
    return this.#snapshot.close();
  }
}
