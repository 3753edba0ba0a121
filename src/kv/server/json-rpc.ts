/**
 * Rare calls between nodes carry their arguments and answers as msgpack behind a schema: what a peer sends is checked
 * before it is used.
 */
import { Packr } from 'msgpackr';
import type { z } from 'zod';
import type { NodeId } from '../../raft/index.js';
import type { CallResult, Method, Rpc } from './rpc.js';

const packr = new Packr({ useRecords: false, moreTypes: false });

export const pack = (value: unknown): Buffer => packr.pack(value);

/** undefined for bytes that are no msgpack. */
export function unpack(bytes: Buffer): unknown {
  try {
    return packr.unpack(bytes);
  } catch {
    return undefined;
  }
}

export type Called<T> =
  | { readonly kind: 'answer'; readonly value: T }
  | { readonly kind: 'unsent' }
  | { readonly kind: 'lost' };

export async function callJson<T>(
  rpc: Rpc,
  to: NodeId,
  method: Method,
  request: unknown,
  answer: z.ZodType<T>,
  timeout_ms: number,
): Promise<Called<T>> {
  const result: CallResult = await rpc.ask(to, method, pack(request), timeout_ms);
  if (result.kind !== 'reply') return result;
  const parsed = answer.safeParse(unpack(result.body));
  return parsed.success ? { kind: 'answer', value: parsed.data } : { kind: 'lost' };
}

/** A request that does not fit the schema, or a handler that throws, is not answered: the caller sees `lost`. */
export function handleJson<T>(
  rpc: Rpc,
  method: Method,
  schema: z.ZodType<T>,
  handler: (request: T, from: NodeId) => Promise<unknown>,
  failed: (error: unknown) => void,
): void {
  rpc.handle(method, (from, body, reply) => {
    const parsed = schema.safeParse(unpack(body));
    if (!parsed.success) return;
    handler(parsed.data, from).then((value) => reply(pack(value)), failed);
  });
}
