/** Schemas of what nodes ask of each other's shard leaders (methods SlotCommand, Copy, Page, ShardQuery). */
import { z } from 'zod';
import type {
  Membership,
  SlotAnswer,
  SlotCommand,
  SlotRanges,
  SlotStats,
  Standing,
  StepAnswer,
} from '../../shardctrl/index.js';
import { COMMAND_HEAD_BYTES } from '../store/index.js';

const slots: z.ZodType<SlotRanges> = z.array(z.tuple([z.number().int(), z.number().int()]));
const count = z.number().int().nonnegative();
const digest = z.string().regex(/^[0-9a-f]{32}$/);
const sums = z.object({ keys: count, bytes: count, digest, idempotencyRecords: count });

const move = { move: count, slots };
const round = { ...move, round: count };

const installSchema = z.object({
  kind: z.literal('install'),
  ...round,
  digest,
  revision: count,
  clock_ms: z.number(),
});

export const slotCommandSchema: z.ZodType<SlotCommand> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('begin_export'), ...move }),
  z.object({ kind: z.literal('freeze'), ...round }),
  installSchema,
  z.object({ kind: z.literal('bar'), ...round }),
  z.object({ kind: z.literal('thaw'), ...round }),
  z.object({ kind: z.literal('abort_import'), ...move }),
  z.object({ kind: z.literal('unfreeze'), ...move }),
  z.object({ kind: z.literal('delete'), ...move }),
]);

const slotAnswerSchema: z.ZodType<SlotAnswer> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ok') }),
  z.object({
    kind: z.literal('frozen'),
    receipt: sums.extend({ revision: count, clock_ms: z.number(), index: count }),
  }),
  z.object({ kind: z.literal('installed'), index: count, sums }),
  z.object({ kind: z.literal('aborted') }),
  z.object({ kind: z.literal('undone') }),
  z.object({ kind: z.literal('thawed') }),
  z.object({ kind: z.literal('ended') }),
  z.object({ kind: z.literal('stale') }),
  z.object({ kind: z.literal('round_over') }),
  z.object({ kind: z.literal('mismatch'), sums }),
  z.object({ kind: z.literal('busy') }),
]);

export const slotRequestSchema = z.object({ shard: count, command: slotCommandSchema });
const command = z.instanceof(Uint8Array).refine((bytes) => bytes.length >= COMMAND_HEAD_BYTES);
/** A page, Install, or both in this order. */
export const pageRequestSchema = z.object({ shard: count, commands: z.array(command).min(1).max(2) });
export const copyRequestSchema = z.object({
  from: count,
  to: count,
  move: count,
  slots,
  since: z.object({ by: z.string().max(300), note: count }).nullable(),
  /** Nodes of earlier builds do not say. */
  maxRate: z.number().min(1).nullable().default(null),
  install: z.object({ command: installSchema, within_ms: z.number() }).nullable().default(null),
  timeout_ms: z.number(),
});

const copyAnswerSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('copied'),
    records: count,
    bytes: count,
    mark: z.object({ by: z.string(), note: count }),
    left: count,
  }),
  z.object({ kind: z.literal('refused'), answer: slotAnswerSchema }),
  z.object({ kind: z.literal('answered'), answer: slotAnswerSchema }),
]);

export const queryRequestSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('stats'), shard: count, slots }),
  z.object({ kind: z.literal('purged'), shard: count, slots }),
  z.object({ kind: z.literal('ready'), shard: count }),
  /** `run`: asked for again under the same one, it is the same work. */
  z.object({ kind: z.literal('reclaim'), shard: count, run: z.string().max(200) }),
  /** Put this into the shard's log (see `MarkCommand`). Again: another entry, and the first one counts. */
  z.object({ kind: z.literal('mark'), shard: count, token: z.string().regex(/^[\x21-\x7e]{1,200}$/) }),
]);
export type ShardQuery = z.infer<typeof queryRequestSchema>;

const member = z.object({ id: count, node: z.string().max(255) });
const members = z.array(member).max(100);
const conf = z.object({
  voters: members,
  outgoing: members,
  learners: members,
  learnersNext: members,
  autoLeave: z.boolean(),
});

const confStep = z.discriminatedUnion('op', [
  z.object({ op: z.literal('add_voter'), member }),
  z.object({ op: z.literal('add_learner'), member }),
  z.object({ op: z.literal('remove'), id: count }),
]);

const memberStep = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('transfer'), to: z.string().max(255) }),
  z.object({
    kind: z.literal('change'),
    change: z.object({
      steps: z.array(confStep).min(1).max(20),
      transition: z.enum(['auto', 'joint_implicit', 'joint_explicit']),
    }),
  }),
]);

/** What is asked of the leader of any group, the controller included. */
export const membersRequestSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('membership'), group: count }),
  z.object({ kind: z.literal('step'), group: count, seenAt: count, step: memberStep }),
]);
export type MembersRequest = z.infer<typeof membersRequestSchema>;

const newcomer = z.object({ id: count, match: count, behind: count, frames: count });
const membership = z.object({
  conf,
  confIndex: count,
  settled: z.boolean(),
  leader: count,
  term: count,
  newcomers: z.array(newcomer).optional(),
});
const stepAnswer = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('begun') }),
  z.object({ kind: z.literal('refused'), detail: z.string() }),
]);

const fraction = z.number().min(0);
const resource = z.enum(['load', 'bytes']);
const overload = z.object({ shard: count, resource, share: fraction, fairShare: fraction });
const burden = z.object({
  id: count,
  load: fraction,
  bytes: fraction,
  loadShare: fraction,
  bytesShare: fraction,
  fairShare: fraction,
});

/** Of the controller's leader: how the balance of shards stands. */
const standingSchema: z.ZodType<Standing> = z.object({
  settings: z.object({ auto: z.boolean(), limit_percent: z.number(), hold_s: z.number() }),
  assessment: z
    .object({
      shards: z.array(burden),
      worst: overload.nullable(),
      rest: overload.nullable(),
      moves: z.array(z.object({ from: count, to: count, slots })),
      hot: z.array(z.object({ slot: count, shard: count, resource, share: fraction })),
    })
    .nullable(),
  silent: z.array(count),
  overloaded_ms: z.number().nullable(),
});

const statsSchema = z.array(z.object({ slot: count, keys: count, bytes: count }));

export type LeaderAnswer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly leader: string | null };

/** What a leader says, or what somebody says who does not lead (any more). To be made once: a schema is dear to make. */
const leaderAnswer = <T>(value: z.ZodType<T>): z.ZodType<LeaderAnswer<T>> =>
  z.union([
    z.object({ ok: z.literal(true), value }),
    z.object({ ok: z.literal(false), leader: z.string().nullable() }),
  ]);

export const leaderAnswers = {
  slotCommand: leaderAnswer(slotAnswerSchema),
  copy: leaderAnswer(copyAnswerSchema),
  stats: leaderAnswer<SlotStats[]>(statsSchema),
  flag: leaderAnswer(z.boolean()),
  done: leaderAnswer(z.literal(true)),
  index: leaderAnswer(count),
  membership: leaderAnswer(membership as unknown as z.ZodType<Membership>),
  step: leaderAnswer<StepAnswer>(stepAnswer),
  standing: leaderAnswer(standingSchema),
};
