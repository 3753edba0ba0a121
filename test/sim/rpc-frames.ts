/** What a frame on the Rpc channel asks for, as far as faults are drawn by it. See rpc.ts. */
import { unpack } from '../../src/kv/server/json-rpc.js';
import { Method } from '../../src/kv/server/rpc.js';
import { decodeCommand } from '../../src/kv/store/index.js';

const REQUEST = 0;
const KIND_AT = 1;
const METHOD_AT = 2;
/** The body follows. */
export const HEADER_BYTES = 11;

/** The method of a request; null for any other frame. */
export const requestedMethod = (frame: Uint8Array): number | null =>
  frame[KIND_AT] === REQUEST ? frame[METHOD_AT]! : null;

/** The command to install what this move has copied, of any of its rounds, on its way from shard to shard. */
export function isInstallOf(frame: Uint8Array, move: number): boolean {
  if (requestedMethod(frame) !== Method.Page) return false;
  const { commands } = unpack(Buffer.from(frame.subarray(HEADER_BYTES))) as { commands: readonly Uint8Array[] };
  return commands.some((bytes) => {
    const decoded = decodeCommand(bytes);
    return 'command' in decoded && decoded.command.kind === 'install' && decoded.command.move === move;
  });
}
