/** Keeps what is counted, in order, and wants to know the key of every request: `wrote 7629 k`. */
import type { RequestCounter } from '../../../src/kv/server/load-meter.js';

export class CountedRequests implements RequestCounter {
  readonly counted: string[] = [];

  read(slot: number): boolean {
    this.counted.push(`read ${slot}`);
    return true;
  }

  wrote(slot: number): boolean {
    this.counted.push(`wrote ${slot}`);
    return true;
  }

  note(key: Uint8Array): void {
    const last = this.counted.pop();
    this.counted.push(`${last} ${Buffer.from(key)}`);
  }
}
