/** Rows beside the records: where slots stand in their moves, receipts, the meta row; and small parts that others build on. */
import { crc32c } from '@node-rs/crc32';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32cOf } from '../../../src/kv/store/checksum.js';
import { DueHint } from '../../../src/kv/store/due-hint.js';
import { receiptKey } from '../../../src/kv/store/key-layout.js';
import { decodeReceipt, Receipts } from '../../../src/kv/store/receipts.js';
import { BLOCK_SLOTS, SlotControl, servedInBlock } from '../../../src/kv/store/slot-control.js';
import { slotsWhere } from '../../../src/kv/store/slot-sets.js';
import { decodeMeta } from '../../../src/kv/store/store-state.js';
import type { StateRows } from '../../../src/raft/index.js';
import { containsSlot, MoveOutcome, SlotState, slotsOf } from '../../../src/shardctrl/index.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
/** Doubles, little-endian. */
const double = (value: number): string => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return hex(bytes);
};

describe('CRC32C', () => {
  it('is that of the catalogue, whichever way it is reckoned', () => {
    const digits = Buffer.from('123456789');
    expect(crc32cOf(digits, 0, 9)).toBe(0xe3069283);
    const bytes = Buffer.from(Array.from({ length: 200 }, (_, i) => (i * 7) & 0xff));
    for (const [from, to] of [
      [0, 0],
      [0, 63],
      [0, 64],
      [0, 200],
      [1, 64],
      [1, 65],
      [100, 200],
    ] as const) {
      expect(crc32cOf(bytes, from, to), `${from} to ${to}`).toBe(crc32c(bytes.subarray(from, to)));
      expect(crc32cOf(bytes, from, to, 5), `${from} to ${to}, continued`).toBe(crc32c(bytes.subarray(from, to), 5));
    }
  });
});

describe('a row of slots in their moves', () => {
  const BLOCK = 3;
  const FIRST = BLOCK * BLOCK_SLOTS;

  function control(): SlotControl {
    const made = new SlotControl();
    made.state.fill(SlotState.Own, FIRST, FIRST + 100);
    made.state[FIRST + 50] = SlotState.Frozen;
    made.outcome[FIRST + 50] = MoveOutcome.Given;
    made.move[FIRST + 50] = 7;
    made.floor[FIRST + 50] = 8;
    made.freezeRound[FIRST + 50] = 9;
    made.barredRound[FIRST + 50] = 10;
    return made;
  }
  const problem = (row: Buffer, block = BLOCK): string | null => new SlotControl().decodeBlock(block, row);
  /** With a checksum that is right for it. */
  const signed = (row: Buffer): Buffer => {
    row.writeUInt32LE(crc32c(row.subarray(5), crc32c(Buffer.of(BLOCK))), 1);
    return row;
  };

  it('has runs of equal slots, as its grammar says, and is read as it was written', () => {
    const made = control();
    const row = made.encodeBlock(BLOCK);
    const none = double(0);
    const own = `0100${none}${none}${none}${none}`;
    const frozen = `0304${double(7)}${double(8)}${double(9)}${double(10)}`;
    const nothing = `0000${none}${none}${none}${none}`;
    expect(hex(row.subarray(0, 1))).toBe('01');
    expect(hex(row.subarray(5))).toBe(`3200${own}0100${frozen}3100${own}9c00${nothing}`);
    const read = new SlotControl();
    expect(read.decodeBlock(BLOCK, row)).toBeNull();
    for (const name of ['state', 'outcome', 'move', 'floor', 'freezeRound', 'barredRound'] as const) {
      expect([...read[name]], name).toEqual([...made[name]]);
    }
    const served: number[][] = [];
    expect(servedInBlock(BLOCK, row, (first, last) => served.push([first, last]))).toBeNull();
    expect(served).toEqual([
      [FIRST, FIRST + 49],
      [FIRST + 51, FIRST + 99],
    ]);
  });

  it.each(['state', 'outcome', 'move', 'floor', 'freezeRound', 'barredRound'] as const)(
    'tells slots apart that differ in their %s only',
    (name) => {
      const made = new SlotControl();
      made[name][FIRST + 1] = 1;
      const read = new SlotControl();
      expect(read.decodeBlock(BLOCK, made.encodeBlock(BLOCK))).toBeNull();
      expect([...read[name].subarray(FIRST, FIRST + 3)]).toEqual([0, 1, 0]);
      expect(made.isUnmoved(FIRST + 1)).toBe(name === 'state');
      expect(made.isUnmoved(FIRST)).toBe(true);
    },
  );

  it('is served while it is owned, also while it is exported, and in no other state', () => {
    const states = Object.values(SlotState);
    const made = new SlotControl();
    states.forEach((state, i) => {
      made.state[FIRST + i] = state;
    });
    expect(states.filter((_, i) => made.serves(FIRST + i))).toEqual([SlotState.Own, SlotState.Exporting]);
  });

  it('is refused by what is wrong with it', () => {
    const row = control().encodeBlock(BLOCK);
    const changed = (at: number, value: number): Buffer => {
      const copy = Buffer.from(row);
      copy[at] = value;
      return copy;
    };
    expect(problem(changed(0, 2))).toBe('slot state format 2, this build knows 1');
    expect(problem(row.subarray(0, 4))).toBe('slot state of a wrong length');
    expect(problem(row.subarray(0, row.length - 1))).toBe('slot state of a wrong length');
    expect(problem(changed(6, 0xff))).toBe('checksum of the slot state does not match');
    expect(problem(row, BLOCK + 1)).toBe('checksum of the slot state does not match');
    expect(problem(signed(changed(7, SlotState.Importing)))).toBeNull();
    expect(problem(signed(changed(7, SlotState.Importing + 1)))).toBe('slot state is not valid');
    expect(problem(signed(changed(8, MoveOutcome.Given)))).toBeNull();
    expect(problem(signed(changed(8, MoveOutcome.Given + 1)))).toBe('slot state is not valid');
    expect(problem(signed(changed(5, 0x33)))).toBe('slot state is not valid');
    expect(problem(signed(changed(5, 0x31)))).toBe('slot state does not name all slots');
    expect(problem(signed(Buffer.from(row.subarray(0, 5 + 36))))).toBe('slot state does not name all slots');
  });
});

describe('a receipt', () => {
  const sums = { keys: 1, bytes: 2, digest: '0123456789abcdef0123456789abcdef', idempotencyRecords: 3 };
  const freeze = { kind: 'freeze' as const, round: 4, index: 5, revision: 6, clock_ms: 7, sums };

  class OneRow implements StateRows {
    key = Buffer.alloc(0);
    row: Buffer | undefined;
    get(): Buffer | undefined {
      return this.row;
    }
    peek(): Buffer | undefined {
      return this.row;
    }
    put(key: Uint8Array, value: Uint8Array): void {
      this.key = Buffer.from(key);
      this.row = Buffer.from(value);
    }
    delete(): void {
      this.row = undefined;
    }
  }

  function written(receipt: Parameters<Receipts['put']>[2]): { rows: OneRow; receipts: Receipts; hash: Uint32Array } {
    const [rows, hash] = [new OneRow(), new Uint32Array(4)];
    const receipts = new Receipts(hash);
    receipts.put(rows, 9, receipt);
    return { rows, receipts, hash };
  }

  it('stands in the bytes of its grammar, and comes back as it was', () => {
    for (const receipt of [freeze, { ...freeze, kind: 'install' as const }]) {
      const { rows } = written(receipt);
      const numbers = [4, 5, 6, 7, 1, 2, 3].map(double).join('');
      expect(hex(rows.row!.subarray(5))).toBe(`${receipt.kind === 'freeze' ? '01' : '02'}${numbers}${sums.digest}`);
      expect([hex(rows.key), rows.row![0]]).toEqual([hex(receiptKey(9)), 1]);
      expect(decodeReceipt(rows.key, rows.row!)).toEqual(receipt);
    }
  });

  it('takes the place of the one before it, and leaves nothing when it is dropped', () => {
    const { rows, receipts, hash } = written(freeze);
    const before = [...hash];
    receipts.put(rows, 9, { ...freeze, round: 5 });
    expect([receipts.get(9)?.round, receipts.get(8)]).toEqual([5, null]);
    expect([...hash]).not.toEqual(before);
    receipts.put(rows, 9, freeze);
    expect([...hash]).toEqual(before);
    receipts.drop(rows, 8);
    expect(receipts.get(9)).toEqual(freeze);
    receipts.drop(rows, 9);
    expect([receipts.get(9), rows.row, ...hash]).toEqual([null, undefined, 0, 0, 0, 0]);
  });

  it('is refused by what is wrong with it', () => {
    const { rows } = written(freeze);
    const { key } = rows;
    const row = rows.row!;
    const signed = (bytes: Buffer): Buffer => {
      bytes.writeUInt32LE(crc32c(bytes.subarray(5), crc32c(key)), 1);
      return bytes;
    };
    expect(() => decodeReceipt(key, Buffer.of(2))).toThrow('a receipt has format 2, this build knows 1');
    expect(() => decodeReceipt(key, row.subarray(0, 4))).toThrow('checksum of a receipt does not match');
    expect(() => decodeReceipt(receiptKey(8), row)).toThrow('checksum of a receipt does not match');
    expect(() => decodeReceipt(key, signed(Buffer.from(row.subarray(0, 20))))).toThrow('a receipt ends inside index');
    expect(() => decodeReceipt(key, signed(Buffer.concat([row, Buffer.of(0)])))).toThrow('a receipt 1 bytes too many');
  });
});

describe('the meta row', () => {
  it('is refused by what is wrong with it', () => {
    const signed = (bytes: Buffer): Buffer => {
      bytes.writeUInt32LE(crc32c(bytes.subarray(5)), 1);
      return bytes;
    };
    const row = signed(Buffer.from(`01000000000201${double(6)}${double(7)}`, 'hex'));
    expect(decodeMeta(row)).toEqual({ revision: 6, clock_ms: 7, everOwned: true });
    const never = Buffer.from(row);
    never[6] = 0;
    expect(decodeMeta(signed(never)).everOwned).toBe(false);
    expect(() => decodeMeta(Buffer.of(2))).toThrow('the meta row has format 2, this build knows 1');
    expect(() => decodeMeta(row.subarray(0, 6))).toThrow('checksum of the meta row does not match');
    expect(() => decodeMeta(never.fill(0, 1, 5))).toThrow('checksum of the meta row does not match');
    const old = Buffer.from(row);
    old[5] = 1;
    expect(() => decodeMeta(signed(old))).toThrow("the shard's data has layout 1, this build knows 2");
  });
});

describe('sets of slots made from a test', () => {
  it('hold those for which it holds, between the bounds', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(30), { maxLength: 30, size: 'max' }), fc.nat(30), fc.nat(30), (some, a, b) => {
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        const wanted = slotsOf(some);
        const found = slotsWhere((slot) => containsSlot(wanted, slot), from, to);
        expect(found).toEqual(slotsOf(some.filter((slot) => slot >= from && slot <= to)));
      }),
      { seed: 2, numRuns: 100 },
    );
    expect(slotsWhere(() => true)).toEqual([[0, 16_383]]);
    expect(slotsWhere((slot) => slot === 16_383)).toEqual([[16_383, 16_383]]);
  });
});

describe('the hint of what is due', () => {
  it('lets one scan begin at the earliest row, and what came since be found by the next', () => {
    const hint = new DueHint();
    expect([hint.mayBeDue(0), hint.begin(0), hint.takeRecent()]).toEqual([true, 0, Number.POSITIVE_INFINITY]);
    // One at a time.
    expect([hint.mayBeDue(100), hint.begin(100)]).toEqual([false, null]);
    hint.lower(50);
    hint.lower(60);
    hint.end(Number.POSITIVE_INFINITY);
    expect([hint.mayBeDue(49), hint.begin(49), hint.mayBeDue(50), hint.begin(50)]).toEqual([false, null, true, 50]);
    expect(hint.takeRecent()).toBe(50);
    hint.end(80);
    expect([hint.mayBeDue(79), hint.mayBeDue(80), hint.begin(90)]).toEqual([false, true, 80]);
  });
});
