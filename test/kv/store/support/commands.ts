/** Commands in short, for tests. */
import type { Condition, DeleteCommand, Idempotency, PutCommand } from '../../../../src/kv/store/index.js';
import { ALL_SLOTS, type SlotRanges } from '../../../../src/shardctrl/index.js';

export const EVERYTHING: SlotRanges = ALL_SLOTS;

interface Options {
  readonly condition?: Condition;
  readonly idempotency?: Idempotency;
  readonly ttl_ms?: number;
  readonly contentType?: string;
}

export const put = (key: string, value: string, options: Options = {}): PutCommand => ({
  kind: 'put',
  key: Buffer.from(key),
  value: Buffer.from(value),
  contentType: options.contentType ?? 'application/octet-stream',
  ttl_ms: options.ttl_ms ?? 0,
  condition: options.condition ?? { kind: 'none' },
  idempotency: options.idempotency ?? null,
});

export const del = (key: string, options: Options = {}): DeleteCommand => ({
  kind: 'delete',
  key: Buffer.from(key),
  condition: options.condition ?? { kind: 'none' },
  idempotency: options.idempotency ?? null,
});

/** An idempotency key with a fingerprint made of one byte. */
export const token = (key: string, request: number): Idempotency => ({
  key,
  fingerprint: Buffer.alloc(16, request),
});
