/**
 * The rows of a shard at rest are whole: each record stands in a slot that the shard serves, with its row in the slot's index and,
 * where it has a time to live, its expiry row; idempotency records likewise; no other such rows; nothing is left of moves but
 * what the guards table says of each slot; and the sums of a slot are those of its records. All of it is added up anew here.
 */
import { addHash, digestText } from '../../../src/kv/store/digest.js';
import { hashIdempotency, idempotencyExpires, idempotencyFault } from '../../../src/kv/store/idempotency-codec.js';
import {
  decodeKeyExpiry,
  keyOfRecord,
  keyOfSlotIndex,
  parsePlace,
  placeOfIdempotency,
  subjectOfExpiry,
  Table,
  timeOfExpiry,
} from '../../../src/kv/store/key-layout.js';
import { expiresOf, hashRecord, recordFault, revisionOf } from '../../../src/kv/store/record-codec.js';
import { SlotControl } from '../../../src/kv/store/slot-control.js';
import type { EngineRow } from '../../../src/raft/index.js';
import {
  MoveOutcome,
  SLOT_COUNT,
  type SlotRanges,
  SlotState,
  type SlotSums,
  slotOfKey,
} from '../../../src/shardctrl/index.js';
import { NOWHERE, type Place, type PlaceOutcome } from './guards-table.js';
import { STATES } from './slot-reference.js';

/** What is asked of the state machine that wrote the rows. */
export interface SumsView {
  slotStats(slots: SlotRanges): readonly { readonly slot: number; readonly keys: number; readonly bytes: number }[];
  sums(slots: SlotRanges): SlotSums;
}

interface Slot {
  keys: number;
  bytes: number;
  idempotency: number;
  readonly digest: Uint32Array;
}

const OUTCOMES: Readonly<Record<PlaceOutcome, MoveOutcome>> = {
  open: MoveOutcome.Open,
  installed: MoveOutcome.Installed,
  aborted: MoveOutcome.Aborted,
  undone: MoveOutcome.Undone,
  given: MoveOutcome.Given,
};

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

class Sheet {
  readonly #rows = new Map<number, EngineRow[]>();
  readonly #slots = new Map<number, Slot>();
  readonly #control = new SlotControl();
  readonly #wrong: string[] = [];

  constructor(rows: Iterable<EngineRow>) {
    for (const row of rows) {
      const table = row.key[0]!;
      const known = this.#rows.get(table);
      if (known === undefined) this.#rows.set(table, [row]);
      else known.push(row);
    }
  }

  read(machine: SumsView, placeOf: (slot: number) => Place): string | null {
    this.#readControl(placeOf);
    this.#readRecords();
    this.#readIdempotency();
    for (const table of [Table.Noted, Table.Tombstone])
      for (const { key } of this.#of(table)) this.#wrong.push(`row ${hex(key)} is left of a move`);
    this.#compareSums(machine);
    return this.#wrong[0] ?? null;
  }

  #of(table: Table): readonly EngineRow[] {
    return this.#rows.get(table) ?? [];
  }

  #readControl(placeOf: (slot: number) => Place): void {
    for (const { key, value } of this.#of(Table.Control)) {
      const fault = this.#control.decodeBlock(key[1]!, value);
      if (fault !== null) this.#wrong.push(fault);
    }
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const place = placeOf(slot);
      // Most slots have never been here.
      if (place === NOWHERE && this.#control.state[slot] === SlotState.None && this.#control.isUnmoved(slot)) continue;
      const { state, outcome, move, floor, freezeRound, barredRound } = place;
      const due = [STATES[state], OUTCOMES[outcome], move, floor, freezeRound, barredRound];
      const control = this.#control;
      const found = [
        control.state[slot],
        control.outcome[slot],
        control.move[slot],
        control.floor[slot],
        control.freezeRound[slot],
        control.barredRound[slot],
      ];
      if (found.some((value, i) => value !== due[i])) {
        this.#wrong.push(`the row of slot ${slot} says ${found.join(', ')}; the guards table says ${due.join(', ')}`);
        return;
      }
    }
  }

  #slot(slot: number, what: string): Slot {
    if (this.#control.state[slot] !== SlotState.Own) this.#wrong.push(`${what} is in slot ${slot}, which is not owned`);
    const known = this.#slots.get(slot);
    if (known !== undefined) return known;
    const fresh: Slot = { keys: 0, bytes: 0, idempotency: 0, digest: new Uint32Array(4) };
    this.#slots.set(slot, fresh);
    return fresh;
  }

  #readRecords(): void {
    const index = new Set<string>();
    const expiries = new Set<string>();
    for (const { key: row, value } of this.#of(Table.Record)) {
      const key = keyOfRecord(row);
      const number = slotOfKey(key);
      const slot = this.#slot(number, `record ${key}`);
      const fault = recordFault(key, value);
      if (fault !== null) this.#wrong.push(fault);
      slot.keys++;
      slot.bytes += key.length + value.length;
      hashRecord(key, value);
      addHash(slot.digest, 0);
      index.add(`${number} ${hex(key)}`);
      if (expiresOf(value) !== 0) expiries.add(`${expiresOf(value)} ${number} ${revisionOf(value)} ${hex(key)}`);
    }
    this.#compare(
      'index row',
      index,
      this.#of(Table.SlotIndex).map(({ key }) => `${key.readUInt16BE(1)} ${hex(keyOfSlotIndex(key))}`),
    );
    const found = this.#of(Table.KeyExpiry).map(({ key, value }) => {
      const { slot, revision } = decodeKeyExpiry(value) ?? { slot: Number.NaN, revision: Number.NaN };
      return `${timeOfExpiry(key)} ${slot} ${revision} ${hex(subjectOfExpiry(key))}`;
    });
    this.#compare('expiry row', expiries, found);
  }

  #readIdempotency(): void {
    const expiries = new Set<string>();
    for (const { key: row, value } of this.#of(Table.Idempotency)) {
      const place = placeOfIdempotency(row);
      const { slot: number, key, token } = parsePlace(place);
      if (number !== slotOfKey(key)) this.#wrong.push(`idempotency record ${token} of ${key} stands in slot ${number}`);
      const fault = idempotencyFault(place, value);
      if (fault !== null) this.#wrong.push(fault);
      const slot = this.#slot(number, `idempotency record ${token} of ${key}`);
      slot.idempotency++;
      slot.bytes += place.length + value.length;
      hashIdempotency(place, value);
      addHash(slot.digest, 0);
      expiries.add(`${idempotencyExpires(value)} ${hex(place)}`);
    }
    const found = this.#of(Table.IdempotencyExpiry).map(
      ({ key }) => `${timeOfExpiry(key)} ${hex(subjectOfExpiry(key))}`,
    );
    this.#compare('expiry row of an idempotency record', expiries, found);
  }

  #compare(what: string, due: ReadonlySet<string>, found: readonly string[]): void {
    const rows = new Set(found);
    for (const row of due) if (!rows.has(row)) this.#wrong.push(`there is no ${what} ${row}`);
    for (const row of rows) if (!due.has(row)) this.#wrong.push(`${what} ${row} belongs to no record`);
  }

  #compareSums(machine: SumsView): void {
    const stats = new Map(machine.slotStats([[0, SLOT_COUNT - 1]]).map((stat) => [stat.slot, stat]));
    for (const slot of new Set([...stats.keys(), ...this.#slots.keys()])) {
      const due = this.#slots.get(slot) ?? { keys: 0, bytes: 0, idempotency: 0, digest: new Uint32Array(4) };
      const { keys, bytes } = stats.get(slot) ?? { keys: 0, bytes: 0 };
      const { digest, idempotencyRecords } = machine.sums([[slot, slot]]);
      const found = [keys, bytes, idempotencyRecords, digest];
      const wanted = [due.keys, due.bytes, due.idempotency, digestText(due.digest)];
      if (found.some((value, i) => value !== wanted[i]))
        this.#wrong.push(`sums of slot ${slot} are ${found.join(', ')}; its records come to ${wanted.join(', ')}`);
    }
  }
}

/**
 * What is wrong, or null. `rows`: all of a replica's, in any order. The shard takes part in no move, and has purged all that it gave
 * away.
 */
export const faultAtRest = (
  rows: Iterable<EngineRow>,
  machine: SumsView,
  placeOf: (slot: number) => Place,
): string | null => new Sheet(rows).read(machine, placeOf);
