/** What a verification asks of each replica's node (method View), and what it is answered. */
import { z } from 'zod';
import { isNormalized, type SlotRanges, type SlotSums } from '../../../shardctrl/index.js';
import type { RecordListing, ViewReport } from '../../store/index.js';

const count = z.number().int().nonnegative();
const slots = z.custom<SlotRanges>(
  (value) => Array.isArray(value) && value.every((range) => Array.isArray(range)) && isNormalized(value),
);
/** Names one verification of one shard; the mark in the shard's log carries it. */
const token = z.string().regex(/^[\x21-\x7e]{1,200}$/);

const prepare = z.object({
  op: z.literal('prepare'),
  token,
  shard: z.number().int().positive(),
  /** Read every record; else only what the state keeps beside them. */
  records: z.boolean(),
  /** Slots of which nothing must be left. */
  gone: slots,
  bytesPerS: z.number().positive(),
  giveUp_ms: z.number().positive(),
});
export type PrepareRequest = z.infer<typeof prepare>;

export const viewRequestSchema = z.discriminatedUnion('op', [
  prepare,
  /** `index`: of the mark, once it is known. */
  z.object({ op: z.literal('look'), token, index: count.nullable() }),
  /** Hold on to what is there. */
  z.object({ op: z.literal('keep'), token }),
  z.object({ op: z.literal('slots'), token, block: count.max(63) }),
  z.object({ op: z.literal('list'), token, slots }),
  z.object({ op: z.literal('release'), token }),
]);
export type ViewCall = z.infer<typeof viewRequestSchema>;

const sums: z.ZodType<SlotSums> = z.object({
  keys: count,
  bytes: count,
  digest: z.string(),
  idempotencyRecords: count,
});

const bytes = z.instanceof(Uint8Array);

const report: z.ZodType<ViewReport> = z.object({
  index: count,
  stateHash: z.string(),
  served: slots,
  blocks: z.array(sums).nullable(),
  findings: z.array(
    z.object({
      kind: z.enum(['rotten', 'records', 'index', 'state', 'remains', 'unreadable']),
      slots,
      key: bytes.nullable(),
      detail: z.string(),
    }),
  ),
  findingCount: count,
  odd: slots,
});

const listing: z.ZodType<RecordListing> = z.object({
  records: z.array(
    z.object({
      slot: count,
      key: bytes,
      token: z.string(),
      state: z.enum(['present', 'rotten', 'unlisted', 'missing']),
      revision: count,
      digest: z.string(),
    }),
  ),
  complete: z.boolean(),
});

export const viewAnswerSchema = z.discriminatedUnion('kind', [
  /** Nobody has prepared this here, or it has been released. */
  z.object({ kind: z.literal('unknown') }),
  z.object({ kind: z.literal('ready') }),
  /** `by`: the verification that this node is at. */
  z.object({ kind: z.literal('busy'), by: z.string() }),
  z.object({ kind: z.literal('waiting'), applied: count }),
  /** `bytes` and `keys`: all that there should be. `read`: bytes of records so far. */
  z.object({ kind: z.literal('reading'), index: count, keys: count, bytes: count, read: count }),
  z.object({ kind: z.literal('read'), keys: count, bytes: count, report }),
  z.object({ kind: z.literal('slots'), slots: z.array(sums) }),
  z.object({ kind: z.literal('listing') }),
  z.object({ kind: z.literal('listed'), listing }),
  /** It will never have an answer. */
  z.object({ kind: z.literal('failed'), detail: z.string() }),
]);
export type ViewAnswer = z.infer<typeof viewAnswerSchema>;
