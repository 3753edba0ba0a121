/**
 * What is found wrong with the rows of one replica: by what, where, in words. What is the same in many slots is one finding;
 * the first hundred are shown, all of them counted.
 */
import { NO_SLOTS, normalizeSlots, type SlotRange, type SlotRanges } from '../../../shardctrl/index.js';

export type FindingKind =
  /** A row is not what was written: its own checksum, format or place says so. */
  | 'rotten'
  /** The records of a slot do not come to what the state counts: some are missing, too many, or others. */
  | 'records'
  /** Rows that follow from records (which keys a slot has, when they expire) are missing, too many, or others. */
  | 'index'
  /** What is stored of slots, sums, moves, revision and clock is not what the state has in memory. */
  | 'state'
  /** Slots that should be empty here are not. */
  | 'remains'
  /** LevelDB could not read on: a block is damaged. */
  | 'unreadable';

export interface Finding {
  readonly kind: FindingKind;
  /** None where it cannot be told. */
  readonly slots: SlotRanges;
  /** The user's key, where it is about one. */
  readonly key: Uint8Array | null;
  readonly detail: string;
}

const SHOWN_MAX = 100;

interface Told extends Finding {
  readonly slots: SlotRange[];
}

export class Findings {
  readonly #told: Told[] = [];
  /** Of which the same is said of any number of slots. */
  readonly #bySaying = new Map<string, Told>();
  /** With those that are not shown. */
  count = 0;

  add(kind: FindingKind, slots: SlotRanges, key: Uint8Array | null, detail: string): void {
    const saying = key === null ? `${kind} ${detail}` : null;
    const known = saying === null ? undefined : this.#bySaying.get(saying);
    if (known !== undefined) {
      known.slots.push(...slots);
      return;
    }
    this.count++;
    if (this.#told.length === SHOWN_MAX) return;
    const told = { kind, slots: [...slots], key: key === null ? null : Buffer.from(key), detail };
    this.#told.push(told);
    if (saying !== null) this.#bySaying.set(saying, told);
  }

  /** Of a row that belongs to no slot, or to one that its broken key does not tell. */
  addUnplaced(kind: FindingKind, detail: string): void {
    this.add(kind, NO_SLOTS, null, detail);
  }

  get shown(): readonly Finding[] {
    return this.#told.map((told) => ({ ...told, slots: normalizeSlots(told.slots) }));
  }
}
