/**
 * What a node tells of its load, as msgpack around two tables of numbers, little-endian:
 *
 *   rates := (slot:u16 reads:f32 writes:f32)*      requests a second, ascending by slot
 *   sizes := (slot:u16 bytes:f64)*                 ascending by slot
 *
 * Tables, since there may be 16,384 rows: checking as many objects one by one would be felt by what else the node does.
 */
import { z } from 'zod';
import { SLOT_COUNT } from '../../shardctrl/index.js';
import type { SlotRate } from './load-meter.js';

const RATE_BYTES = 10;
const SIZE_BYTES = 10;
/** Of the keys that one node tells of. */
const KEYS_MAX = 1_000;

export interface SlotSize {
  readonly slot: number;
  readonly bytes: number;
}

export function encodeRates(rates: readonly SlotRate[]): Buffer {
  const table = Buffer.allocUnsafe(rates.length * RATE_BYTES);
  rates.forEach(({ slot, reads, writes }, i) => {
    table.writeUInt16LE(slot, i * RATE_BYTES);
    table.writeFloatLE(reads, i * RATE_BYTES + 2);
    table.writeFloatLE(writes, i * RATE_BYTES + 6);
  });
  return table;
}

/** Of a table that has been checked. */
export function* decodeRates(table: Uint8Array): Generator<SlotRate, void, void> {
  const bytes = Buffer.from(table.buffer, table.byteOffset, table.byteLength);
  for (let at = 0; at < bytes.length; at += RATE_BYTES) {
    yield { slot: bytes.readUInt16LE(at), reads: bytes.readFloatLE(at + 2), writes: bytes.readFloatLE(at + 6) };
  }
}

export function encodeSizes(sizes: readonly SlotSize[]): Buffer {
  const table = Buffer.allocUnsafe(sizes.length * SIZE_BYTES);
  sizes.forEach(({ slot, bytes }, i) => {
    table.writeUInt16LE(slot, i * SIZE_BYTES);
    table.writeDoubleLE(bytes, i * SIZE_BYTES + 2);
  });
  return table;
}

/** Of a table that has been checked. */
export function* decodeSizes(table: Uint8Array): Generator<SlotSize, void, void> {
  const bytes = Buffer.from(table.buffer, table.byteOffset, table.byteLength);
  for (let at = 0; at < bytes.length; at += SIZE_BYTES) {
    yield { slot: bytes.readUInt16LE(at), bytes: bytes.readDoubleLE(at + 2) };
  }
}

const amount = (value: number): boolean => Number.isFinite(value) && value >= 0;

function soundRates(table: Uint8Array): boolean {
  if (table.length % RATE_BYTES !== 0) return false;
  for (const { slot, reads, writes } of decodeRates(table)) {
    if (slot >= SLOT_COUNT || !amount(reads) || !amount(writes)) return false;
  }
  return true;
}

function soundSizes(table: Uint8Array): boolean {
  if (table.length % SIZE_BYTES !== 0) return false;
  for (const { slot, bytes } of decodeSizes(table)) if (slot >= SLOT_COUNT || !amount(bytes)) return false;
  return true;
}

export const loadRequestSchema = z.object({
  /** Bytes of the shards that it leads are wanted as well. */
  sizes: z.boolean(),
});

export interface LoadAnswer {
  readonly rates: Uint8Array;
  /** The shards that it leads. */
  readonly leads: readonly { readonly shard: number; readonly term: number; readonly sizes: Uint8Array }[];
  readonly keys: readonly {
    readonly key: Uint8Array;
    readonly rate: number;
    readonly excess: number;
    readonly deviation: number;
  }[];
  readonly floor: number;
}

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array);
const rate = z.number().min(0);

export const loadAnswerSchema: z.ZodType<LoadAnswer> = z.object({
  rates: bytes.refine(soundRates, 'no table of rates'),
  leads: z.array(
    z.object({ shard: z.number(), term: z.number(), sizes: bytes.refine(soundSizes, 'no table of sizes') }),
  ),
  keys: z.array(z.object({ key: bytes, rate, excess: rate, deviation: rate })).max(KEYS_MAX),
  floor: rate,
});
