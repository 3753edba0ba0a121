/** A key for every slot, so that a probe can ask for exactly the shard it means. */
import { SLOT_COUNT, slotOfKey } from '../../../src/shardctrl/index.js';

/** Index: the slot. All are found together: each try finds a key for some slot, and there are only 16,384. */
export function keysOfSlots(prefix: string): readonly string[] {
  const keys: string[] = new Array(SLOT_COUNT).fill('');
  let missing = SLOT_COUNT;
  for (let next = 0; missing > 0; next++) {
    const key = `${prefix}${next.toString(36)}`;
    const slot = slotOfKey(Buffer.from(key));
    if (keys[slot] !== '') continue;
    keys[slot] = key;
    missing--;
  }
  return keys;
}
