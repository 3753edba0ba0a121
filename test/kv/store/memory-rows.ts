/** Rows in memory, for what writes some and reads them back. */
import type { EngineRow, StateRows } from '../../../src/raft/index.js';

export class MemoryRows implements StateRows {
  readonly all = new Map<string, EngineRow>();

  get(key: Uint8Array): Buffer | undefined {
    return this.all.get(Buffer.from(key).toString('hex'))?.value;
  }

  peek(key: Uint8Array): Buffer | undefined {
    return this.get(key);
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.all.set(Buffer.from(key).toString('hex'), { key: Buffer.from(key), value: Buffer.from(value) });
  }

  delete(key: Uint8Array): void {
    this.all.delete(Buffer.from(key).toString('hex'));
  }
}
