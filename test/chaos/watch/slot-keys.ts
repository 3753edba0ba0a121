/** A key for every slot, so that a probe can ask for exactly the shard it means. */
import { SLOT_COUNT, slotOfKey } from '../../../src/shardctrl/index.js';

export class SlotKeys {
  readonly #keys: string[] = new Array(SLOT_COUNT).fill('');
  readonly #prefix: string;
  #next = 0;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Searched for when first asked for: a slot takes 16,384 tries on average, but all others on the way are kept. */
  keyOf(slot: number): string {
    while (this.#keys[slot] === '') {
      const key = `${this.#prefix}${(this.#next++).toString(36)}`;
      this.#keys[slotOfKey(Buffer.from(key))] ||= key;
    }
    return this.#keys[slot]!;
  }
}
