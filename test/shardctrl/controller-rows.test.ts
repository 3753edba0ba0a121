import { describe, expect, it } from 'vitest';
import type { StateRows } from '../../src/raft/index.js';
import { DigestedRows, RowKind, rowKey } from '../../src/shardctrl/controller-rows.js';

class MapRows implements StateRows {
  readonly rows = new Map<string, Buffer>();
  readonly #text = (key: Uint8Array): string => Buffer.from(key).toString('hex');

  get(key: Uint8Array): Buffer | undefined {
    return this.rows.get(this.#text(key));
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.rows.set(this.#text(key), Buffer.from(value));
  }

  delete(key: Uint8Array): void {
    this.rows.delete(this.#text(key));
  }
}

const KEY = rowKey(RowKind.Plan, 7);

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
