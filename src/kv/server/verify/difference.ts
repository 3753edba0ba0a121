/** Differences in the shape of http-api.md. */
import { isUtf8 } from 'node:buffer';
import { formatSlots, type SlotRanges } from '../../../shardctrl/index.js';
import type { VerifyDifference } from '../api.js';

export interface DifferenceParts {
  readonly kind: string;
  readonly nodes: readonly string[];
  readonly slots?: SlotRanges;
  readonly key?: Uint8Array | null;
  readonly detail: string;
}

export function difference({ kind, nodes, slots = [], key = null, detail }: DifferenceParts): VerifyDifference {
  const bytes = key === null ? null : Buffer.from(key.buffer, key.byteOffset, key.byteLength);
  const isText = bytes !== null && isUtf8(bytes);
  return {
    kind,
    nodes,
    slots: slots.length === 0 ? null : formatSlots(slots),
    key: bytes === null ? null : bytes.toString(isText ? 'utf8' : 'base64'),
    key_encoding: bytes === null ? null : isText ? 'utf8' : 'base64',
    detail,
  };
}

/** `n1`, `n1 and n2`, `n1, n2 and n3`. */
export function names(nodes: readonly string[]): string {
  const last = nodes.at(-1) ?? 'nobody';
  return nodes.length < 2 ? last : `${nodes.slice(0, -1).join(', ')} and ${last}`;
}
