/** What frames on the Raft channel carry, as far as faults choose by it. See message-codec.ts. */
import type { GroupId, Message } from '../../src/raft/index.js';
import { decodeMessages, encodeMessages, type GroupMessage } from '../../src/raft/transport/index.js';

/** The frame without the messages of the group that are to be lost; null: nothing is left of it. */
export function without(frame: Uint8Array, group: GroupId, isLost: (message: Message) => boolean): Uint8Array | null {
  const kept: GroupMessage[] = [];
  let lost = 0;
  decodeMessages(Buffer.from(frame), (of, message) => {
    if (of === group && isLost(message)) lost++;
    else kept.push({ group: of, message });
  });
  if (lost === 0) return frame;
  return kept.length === 0 ? null : encodeMessages(kept, Number.POSITIVE_INFINITY)[0]!;
}
