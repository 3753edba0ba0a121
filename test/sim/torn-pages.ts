/**
 * A page that is not what the source sent: a record is missing, though every checksum is right, as after a fault of the
 * sender's own or of whatever stands between two nodes. Nobody can tell from the page; only the digest of the slots (F52).
 */
import { pack, unpack } from '../../src/kv/server/json-rpc.js';
import { Method } from '../../src/kv/server/rpc.js';
import { decodeCommand, encodeCommand } from '../../src/kv/store/index.js';
import type { SimRandom } from './fakes/random.js';
import { HEADER_BYTES, requestedMethod } from './rpc-frames.js';

interface PageRequest {
  readonly shard: number;
  readonly commands: readonly Uint8Array[];
}

/** The frame without one of the records in it; null for a frame that is no page, or an empty one. */
export function tornPage(frame: Uint8Array, random: SimRandom): Uint8Array | null {
  if (requestedMethod(frame) !== Method.Page) return null;
  const request = unpack(Buffer.from(frame.subarray(HEADER_BYTES))) as PageRequest;
  const [first, ...behind] = request.commands;
  const decoded = decodeCommand(first!);
  if (!('command' in decoded) || decoded.command.kind !== 'page' || decoded.command.records.length === 0) return null;
  const page = decoded.command;
  const missing = random.int(0, page.records.length - 1);
  const records = page.records.filter((_, i) => i !== missing);
  const command = new Uint8Array(encodeCommand({ ...page, records }, decoded.stamp_ms));
  return Buffer.concat([frame.subarray(0, HEADER_BYTES), pack({ ...request, commands: [command, ...behind] })]);
}
