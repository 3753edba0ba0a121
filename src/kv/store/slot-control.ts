/**
 * Where the slots stand in their moves, as rows: 256 slots to a row, runs of equal slots written once. A move takes
 * whole ranges through the same states, so a Freeze of half of all slots writes some 32 short rows and not 8,192.
 *
 *   row := version:u8=1 crc:u32 (count:u16 state:u8 outcome:u8 move:f64 floor:f64 freeze_round:f64 barred_round:f64)*
 *
 * `crc` is the CRC32C of the block's number and of what follows. A block that was never touched has no row.
 */
import { MoveOutcome, SLOT_COUNT, SlotState } from '../../shardctrl/index.js';
import { crc32cOf } from './checksum.js';

export const BLOCK_SLOTS = 256;
export const BLOCKS: number = SLOT_COUNT / BLOCK_SLOTS;

const FORMAT = 1;
const RUN_BYTES = 36;
const HEAD_BYTES = 5;

const isServed = (state: number): boolean => state === SlotState.Own || state === SlotState.Exporting;

export class SlotControl {
  readonly state: Uint8Array = new Uint8Array(SLOT_COUNT);
  readonly outcome: Uint8Array = new Uint8Array(SLOT_COUNT);
  /** The move that a slot is in; 0: none. */
  readonly move: Float64Array = new Float64Array(SLOT_COUNT);
  /** The highest move that a slot has seen. */
  readonly floor: Float64Array = new Float64Array(SLOT_COUNT);
  /** Source: the latest freeze of the move. */
  readonly freezeRound: Float64Array = new Float64Array(SLOT_COUNT);
  /** Destination: freezes up to this one are never installed. */
  readonly barredRound: Float64Array = new Float64Array(SLOT_COUNT);

  serves(slot: number): boolean {
    return isServed(this.state[slot]!);
  }

  #same(a: number, b: number): boolean {
    return (
      this.state[a] === this.state[b] &&
      this.outcome[a] === this.outcome[b] &&
      this.move[a] === this.move[b] &&
      this.floor[a] === this.floor[b] &&
      this.freezeRound[a] === this.freezeRound[b] &&
      this.barredRound[a] === this.barredRound[b]
    );
  }

  copy(): SlotControl {
    const copy = new SlotControl();
    for (const name of ['state', 'outcome', 'move', 'floor', 'freezeRound', 'barredRound'] as const) {
      copy[name].set(this[name]);
    }
    return copy;
  }

  /** The slot stands where it stands in `other`. */
  agrees(other: SlotControl, slot: number): boolean {
    return (
      this.state[slot] === other.state[slot] &&
      this.outcome[slot] === other.outcome[slot] &&
      this.move[slot] === other.move[slot] &&
      this.floor[slot] === other.floor[slot] &&
      this.freezeRound[slot] === other.freezeRound[slot] &&
      this.barredRound[slot] === other.barredRound[slot]
    );
  }

  /** No move of the slot has been seen yet. */
  isUnmoved(slot: number): boolean {
    return (
      this.outcome[slot] === 0 &&
      this.move[slot] === 0 &&
      this.floor[slot] === 0 &&
      this.freezeRound[slot] === 0 &&
      this.barredRound[slot] === 0
    );
  }

  encodeBlock(block: number): Buffer {
    const row = Buffer.allocUnsafe(HEAD_BYTES + RUN_BYTES * BLOCK_SLOTS);
    const end = (block + 1) * BLOCK_SLOTS;
    let at = HEAD_BYTES;
    for (let slot = block * BLOCK_SLOTS; slot < end; ) {
      let next = slot + 1;
      while (next < end && this.#same(slot, next)) next++;
      row.writeUInt16LE(next - slot, at);
      row[at + 2] = this.state[slot]!;
      row[at + 3] = this.outcome[slot]!;
      row.writeDoubleLE(this.move[slot]!, at + 4);
      row.writeDoubleLE(this.floor[slot]!, at + 12);
      row.writeDoubleLE(this.freezeRound[slot]!, at + 20);
      row.writeDoubleLE(this.barredRound[slot]!, at + 28);
      at += RUN_BYTES;
      slot = next;
    }
    row[0] = FORMAT;
    row.writeUInt32LE(checksum(block, row, at), 1);
    return Buffer.from(row.subarray(0, at));
  }

  /** Takes a row in. Returns what is wrong with it, or null. */
  decodeBlock(block: number, row: Buffer): string | null {
    return readBlock(block, row, (first, end, at) => {
      this.state.fill(row[at + 2]!, first, end);
      this.outcome.fill(row[at + 3]!, first, end);
      this.move.fill(row.readDoubleLE(at + 4), first, end);
      this.floor.fill(row.readDoubleLE(at + 12), first, end);
      this.freezeRound.fill(row.readDoubleLE(at + 20), first, end);
      this.barredRound.fill(row.readDoubleLE(at + 28), first, end);
    });
  }
}

/** The slots that a row says are served, for who needs no more. Returns what is wrong with the row, or null. */
export function servedInBlock(
  block: number,
  row: Buffer,
  served: (first: number, last: number) => void,
): string | null {
  return readBlock(block, row, (first, end, at) => {
    if (isServed(row[at + 2]!)) served(first, end - 1);
  });
}

/** Calls `run` for the slots from `first` to below `end` that the run at `at` is about. */
function readBlock(block: number, row: Buffer, run: (first: number, end: number, at: number) => void): string | null {
  if (row[0] !== FORMAT) return `slot state format ${row[0]}, this build knows ${FORMAT}`;
  if (row.length < HEAD_BYTES || (row.length - HEAD_BYTES) % RUN_BYTES !== 0) return 'slot state of a wrong length';
  if (row.readUInt32LE(1) !== checksum(block, row, row.length)) return 'checksum of the slot state does not match';
  const end = (block + 1) * BLOCK_SLOTS;
  let slot = block * BLOCK_SLOTS;
  for (let at = HEAD_BYTES; at < row.length; at += RUN_BYTES) {
    const next = slot + row.readUInt16LE(at);
    if (next > end || row[at + 2]! > SlotState.Importing || row[at + 3]! > MoveOutcome.Given)
      return 'slot state is not valid';
    run(slot, next, at);
    slot = next;
  }
  return slot === end ? null : 'slot state does not name all slots';
}

function checksum(block: number, row: Buffer, end: number): number {
  return crc32cOf(row, HEAD_BYTES, end, crc32cOf(Uint8Array.of(block), 0, 1));
}
