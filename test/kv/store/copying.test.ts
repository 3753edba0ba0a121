/** Copying slots while they are served: however it is broken off and begun again, the destination has what the source froze. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { copySlots } from '../../../src/kv/migration/index.js';
import {
  ShardUnavailable,
  type SlotAnswer,
  type SlotRanges,
  slotOfKey,
  slotsOf,
} from '../../../src/shardctrl/index.js';
import { del, EVERYTHING, put, token } from './support/commands.js';
import { Machine } from './support/machine.js';
import { freeze, install, keysIn } from './support/moves.js';

const SLOTS: SlotRanges = [[0, 8_191]];
const KEYS = keysIn(SLOTS, 6);
/** Two of these fill a page. */
const LARGE = 'v'.repeat(20_000);

type Change =
  | { readonly kind: 'put'; readonly key: number; readonly ttl: boolean; readonly token: number }
  | { readonly kind: 'delete'; readonly key: number }
  | { readonly kind: 'time' };
/** `pages`: how many the destination confirms before the copy is broken off. */
interface Copy {
  readonly kind: 'copy';
  readonly pages: number;
  /** What clients do between its pages. */
  readonly meanwhile: readonly Change[];
  readonly restart: boolean;
}

const key = fc.nat(KEYS.length - 1);
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('put' as const), key, ttl: fc.boolean(), token: fc.nat(3) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), key }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'time' as const }) },
);
const copy: fc.Arbitrary<Copy> = fc.record({
  kind: fc.constant('copy' as const),
  pages: fc.oneof(fc.nat(3), fc.constant(99)),
  meanwhile: fc.array(change, { maxLength: 6 }),
  restart: fc.boolean(),
});

async function carryOut(shard: Machine, step: Change): Promise<void> {
  if (step.kind === 'put') {
    const options = { ttl_ms: step.ttl ? 40_000 : 0, idempotency: token(`t${step.token}`, step.token) };
    await shard.run(put(KEYS[step.key]!, LARGE, step.token === 0 ? { ttl_ms: options.ttl_ms } : options));
  } else if (step.kind === 'delete') {
    await shard.run(del(KEYS[step.key]!));
  } else {
    shard.now_ms += 30_000;
    const due = await shard.machine.dueKeys(shard.now_ms, 100);
    if (due !== null) await shard.run(due);
  }
}

it('F62: what has changed goes in one page, in however many ranges the slots lie', async () => {
  const shard = await Machine.create();
  await shard.run({ kind: 'init', slots: EVERYTHING });
  const keys = ['a', 'b', 'c', 'd'];
  const slots = slotsOf(keys.map((key) => slotOfKey(Buffer.from(key))).sort((a, b) => a - b));
  expect(slots.length).toBeGreaterThan(2);
  await shard.run({ kind: 'begin_export', move: 7, slots });
  for (const key of keys) await shard.run(put(key, 'value'));
  const { records, next } = await shard.machine.exportRecords(slots, 0, null, 1_000);
  expect([records.length, next]).toEqual([4, null]);
  const some = await shard.machine.exportRecords(slots, 0, null, records[0]!.length + 1);
  const rest = await shard.machine.exportRecords(slots, 0, some.next, 1_000);
  expect([some.records.length, rest.records.length, rest.next]).toEqual([2, 2, null]);
});

it('F52 F55: a copy may be broken off anywhere and begun again, while clients write, delete and keys expire', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(change, { maxLength: 12 }),
      fc.array(fc.oneof(change, copy), { maxLength: 14 }),
      async (before, steps) => {
        const [from, to] = [await Machine.create(), await Machine.create()];
        await from.run({ kind: 'init', slots: EVERYTHING });
        for (const step of before) await carryOut(from, step);
        await from.run({ kind: 'begin_export', move: 7, slots: SLOTS });
        let since: number | null = null;
        const copyOnce = async (pages: number, meanwhile: readonly Change[]): Promise<boolean> => {
          let [sent, at] = [0, 0];
          const send = async (page: Buffer): Promise<SlotAnswer> => {
            if (sent++ >= pages) throw new ShardUnavailable('broken off');
            const answer = to.applyBytes(page) as SlotAnswer;
            await to.endRound();
            const next = meanwhile[at++];
            if (next !== undefined) await carryOut(from, next);
            return answer;
          };
          const job = {
            move: 7,
            slots: SLOTS,
            machine: from.machine,
            since,
            settled: async () => {},
            send,
            atOnce: () => 1,
            install: null,
          };
          const copied = await copySlots(job).catch(() => null);
          if (copied?.kind === 'copied') since = copied.upTo;
          return copied?.kind === 'copied';
        };
        for (const step of steps) {
          if (step.kind !== 'copy') await carryOut(from, step);
          else {
            await copyOnce(step.pages, step.meanwhile);
            if (!step.restart) continue;
            // Notes are numbered anew by whoever reads them.
            await from.reopen();
            if (since !== null) since = 0;
          }
        }
        expect(await copyOnce(Number.POSITIVE_INFINITY, [])).toBe(true);
        const receipt = await freeze(from, 7, SLOTS);
        expect(await copyOnce(Number.POSITIVE_INFINITY, [])).toBe(true);
        expect(await install(to, 7, SLOTS, receipt)).toMatchObject({ kind: 'installed' });
        expect(to.machine.sums(SLOTS)).toEqual(from.machine.sums(SLOTS));
      },
    ),
    { seed: 11, numRuns: 150 },
  );
}, 120_000);
