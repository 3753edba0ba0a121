/**
 * The client with the map: it knows the slot of a key, learns who leads it, and goes there.
 */
import { parseSlots, SLOT_COUNT, slotOfKey } from '../../shardctrl/index.js';
import { BasicClient } from './basic-client.js';
import type { SlotMath } from './leader-directory.js';
import type { QuorateClientOptions } from './types.js';

const SLOTS: SlotMath = {
  count: SLOT_COUNT,
  slotOf: slotOfKey,
  parse(text) {
    const parsed = parseSlots(text);
    return parsed.ok ? parsed.slots : null;
  },
};

export class QuorateClient extends BasicClient {
  /** @throws RangeError for endpoints that are no URLs */
  constructor(options: QuorateClientOptions) {
    super(options, (options.direct ?? true) ? SLOTS : null);
  }
}
