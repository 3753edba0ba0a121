import { describe, expect, it } from 'vitest';
import type { StateRows } from '../../src/raft/index.js';
import { DigestedRows, RowKind, rowKey } from '../../src/shardctrl/controller-rows.js';
import { ControllerStateMachine } from '../../src/shardctrl/index.js';

class MapRows implements StateRows {
  readonly rows = new Map<string, Buffer>();
  readonly #text = (key: Uint8Array): string => Buffer.from(key).toString('hex');

  get(key: Uint8Array): Buffer | undefined {
    return this.rows.get(this.#text(key));
  }

  peek(key: Uint8Array): Buffer | undefined {
    return this.get(key);
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.rows.set(this.#text(key), Buffer.from(value));
  }

  delete(key: Uint8Array): void {
    this.rows.delete(this.#text(key));
  }
}

const KEY = rowKey(RowKind.Plan, 7);

describe('a row that is asked whether it is sound', () => {
  const sound = (): Buffer => {
    const rows = new MapRows();
    new DigestedRows(rows).put(KEY, { status: 'running' });
    return rows.get(KEY)!;
  };

  it('says nothing if it is', () => {
    expect(new ControllerStateMachine().rowFault(KEY, sound())).toBeNull();
  });

  it('tells of any bit that flipped, and of any end that is missing, so that no snapshot carries it on (F35)', () => {
    const machine = new ControllerStateMachine();
    for (let bit = 0; bit < sound().length * 8; bit++) {
      const row = sound();
      row[bit >> 3]! ^= 1 << (bit & 7);
      expect(machine.rowFault(KEY, row)).toMatch(/corrupt|format/);
    }
    for (let length = 0; length < sound().length; length++) {
      expect(machine.rowFault(KEY, sound().subarray(0, length))).toMatch(/corrupt|format/);
    }
  });
});

describe('rows with a digest', () => {
  it('have the digest of what is there, however it came about', () => {
    const [one, other] = [new DigestedRows(new MapRows()), new DigestedRows(new MapRows())];
    one.put(KEY, { status: 'running' });
    one.put(KEY, { status: 'done' });
    one.put(rowKey(RowKind.Batch, 1), {});
    one.delete(rowKey(RowKind.Batch, 1));
    other.put(KEY, { status: 'done' });
    expect(one.digest()).toBe(other.digest());
    expect(one.get(KEY)).toEqual({ status: 'done' });
  });

  it.each(['put', 'delete', 'get'] as const)('notice rot where a row is replaced, removed or read: %s (F38)', (how) => {
    const rows = new MapRows();
    const digested = new DigestedRows(rows);
    digested.put(KEY, { status: 'running' });
    const row = rows.get(KEY)!;
    row[row.length - 4]! ^= 4;
    const act = { put: () => digested.put(KEY, {}), delete: () => digested.delete(KEY), get: () => digested.get(KEY) };
    expect(act[how]).toThrow(expect.objectContaining({ code: 'REPLICA_DAMAGED' }));
  });
});
