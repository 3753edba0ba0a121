/**
 * Commands as bytes of a log entry:
 *
 *   entry := version:u8 json
 *   json  := { "stamp_ms": number, "command": ControllerCommand }     UTF-8
 *
 * JSON, since the controller's log sees a few entries a second, and a person may have to read them one day.
 */
import { z } from 'zod';
import { type CheckedCommand, type ControllerCommand, controllerCommandSchema } from './commands.js';

const VERSION = 1;

const envelope = z.object({ stamp_ms: z.number().min(0), command: controllerCommandSchema });

export type DecodedCommand =
  | { readonly ok: true; readonly stamp_ms: number; readonly command: CheckedCommand }
  | { readonly ok: false; readonly detail: string };

/** `stamp_ms`: the leader's word for now, milliseconds since 1970. */
export function encodeControllerCommand(command: ControllerCommand, stamp_ms: number): Buffer {
  return Buffer.concat([Buffer.of(VERSION), Buffer.from(JSON.stringify({ stamp_ms, command }))]);
}

/** Never throws, whatever the bytes. */
export function decodeControllerCommand(data: Uint8Array): DecodedCommand {
  if (data.length === 0) return { ok: false, detail: 'an empty command' };
  if (data[0] !== VERSION) {
    return { ok: false, detail: `the command has format ${data[0]}, this build knows ${VERSION}` };
  }
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(data.buffer, data.byteOffset + 1, data.byteLength - 1).toString('utf8'));
  } catch {
    return { ok: false, detail: 'the command is no JSON' };
  }
  const parsed = envelope.safeParse(json);
  if (!parsed.success) return { ok: false, detail: z.prettifyError(parsed.error) };
  return { ok: true, stamp_ms: parsed.data.stamp_ms, command: parsed.data.command };
}
