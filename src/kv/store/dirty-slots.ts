import { SLOT_COUNT } from '../../shardctrl/index.js';

/** Slots that changed since somebody looked, each once, in the order in which they changed first. */
export class DirtySlots {
  readonly #marks = new Uint8Array(SLOT_COUNT);
  readonly list: number[] = [];

  add(slot: number): void {
    if (this.#marks[slot] === 1) return;
    this.#marks[slot] = 1;
    this.list.push(slot);
  }

  clear(): void {
    for (const slot of this.list) this.#marks[slot] = 0;
    this.list.length = 0;
  }
}
