/** The watch over verdicts, itself watched: it is quiet about what the store does, and not about a wrong answer. */
import { describe, expect, it } from 'vitest';
import { encodeCommand, type KvCommand, type KvResult } from '../../../src/kv/store/index.js';
import { type Entry, EntryKind, index, term } from '../../../src/raft/index.js';
import type { SlotRanges } from '../../../src/shardctrl/index.js';
import { EVERYTHING, put } from '../../kv/store/support/commands.js';
import { Machine } from '../../kv/store/support/machine.js';
import { exportAll, keysIn, purge } from '../../kv/store/support/moves.js';
import { Verdicts } from './verdicts.js';

const SLOTS: SlotRanges = [[0, 60]];
const MOVE = 7;
const KEY = keysIn(SLOTS, 1)[0]!;

type Doctor = (answer: KvResult, command: KvCommand) => KvResult;

/** Replicas whose machines are listened to, with answers that may be doctored. */
class Listener {
  readonly wrong: string[] = [];
  readonly #verdicts = new Verdicts((what) => this.wrong.push(what));

  async replica(group: number, doctor: Doctor = (answer) => answer): Promise<Replica> {
    const shard = await Machine.create();
    this.#verdicts.opened(shard.machine, `g${group}-1`);
    return new Replica(shard, this.#verdicts, doctor);
  }

  get judged(): number {
    return this.#verdicts.judged;
  }
}

class Replica {
  readonly shard: Machine;
  readonly #verdicts: Verdicts;
  readonly #doctor: Doctor;

  constructor(shard: Machine, verdicts: Verdicts, doctor: Doctor) {
    this.shard = shard;
    this.#verdicts = verdicts;
    this.#doctor = doctor;
  }

  async run(...commands: KvCommand[]): Promise<KvResult> {
    let answer: KvResult | null = null;
    for (const command of commands) {
      const { shard } = this;
      const data = encodeCommand(command, shard.now_ms);
      const entry: Entry = { term: term(1), index: index(shard.index + 1), kind: EntryKind.Command, data };
      answer = this.#verdicts.applied(shard.machine, entry, () => this.#doctor(shard.applyBytes(data), command));
      await shard.endRound();
    }
    return answer!;
  }
}

const step = (kind: 'begin_export' | 'abort_import' | 'unfreeze' | 'delete', move = MOVE): KvCommand =>
  ({ kind, move, slots: SLOTS }) as KvCommand;
const freezing = (round: number, move = MOVE): KvCommand => ({ kind: 'freeze', move, round, slots: SLOTS });
const thaw = (round: number): KvCommand => ({ kind: 'thaw', move: MOVE, round, slots: SLOTS });
const init: KvCommand = { kind: 'init', slots: EVERYTHING };
const exporting = [init, put(KEY, 'value'), step('begin_export')] as const;

const lying =
  (kind: KvCommand['kind'], lie: KvResult): Doctor =>
  (answer, command) =>
    command.kind === kind ? lie : answer;

describe('verdicts against the guards table', () => {
  it('is quiet about a whole move, with refusals, repetitions, a thaw, an abort and left-overs', async () => {
    const listener = new Listener();
    const source = await listener.replica(1);
    await source.run(...exporting, ...exporting, step('begin_export', MOVE - 1), freezing(1), freezing(1), thaw(1));
    await source.run(put(KEY, 'later'), freezing(1), freezing(2), put(KEY, 'refused'), thaw(1));
    const records = (await exportAll(source.shard, SLOTS)).flat();
    const target = await listener.replica(2);
    const page = (move: number): KvCommand => ({ kind: 'page', move, slots: SLOTS, records });
    await target.run(page(MOVE - 1), step('abort_import', MOVE - 1), page(MOVE), page(MOVE - 1));
    await purge(target.shard, MOVE - 1, SLOTS);
    await target.run(page(MOVE), { kind: 'bar', move: MOVE, round: 1, slots: SLOTS });
    const { digest } = target.shard.machine.sums(SLOTS);
    const install = { kind: 'install', move: MOVE, slots: SLOTS, digest, revision: 9, clock_ms: 1 } as const;
    await target.run({ ...install, round: 1 }, { ...install, round: 2, digest: '00'.repeat(16) });
    expect((await target.run({ ...install, round: 2 }, { ...install, round: 2 }, page(MOVE))).kind).toBe('ok');
    await source.run(step('delete'), step('delete'), step('unfreeze'));
    const found = await source.shard.machine.purgePass(MOVE, SLOTS).next(10);
    await source.run(found!, step('delete'), page(MOVE + 1));
    expect(listener.wrong).toEqual([]);
    expect(listener.judged).toBeGreaterThan(30);
  });

  it.each<[string, Doctor, KvCommand]>([
    ['a refused step that is answered as done', lying('freeze', { kind: 'ok' }), freezing(1, MOVE + 1)],
    ['an accepted step that is answered as refused', lying('freeze', { kind: 'stale' }), freezing(1)],
    ['another refusal', lying('begin_export', { kind: 'busy' }), step('begin_export', MOVE - 1)],
  ])('is not quiet about %s', async (_, doctor, command) => {
    const listener = new Listener();
    const source = await listener.replica(1, (answer, each) => (each === command ? doctor(answer, each) : answer));
    await source.run(...exporting);
    expect(listener.wrong).toEqual([]);
    await source.run(command);
    expect(listener.wrong).toHaveLength(1);
    expect(listener.wrong[0]).toMatch(/^guards table: s1 at index 4: .* answered \w+, the table says \w+/);
  });

  it('is not quiet about a write that is taken while frozen', async () => {
    const lie: KvResult = { kind: 'stored', created: false, revision: 2, version: 2 };
    const listener = new Listener();
    const source = await listener.replica(1, (answer) => (answer.kind === 'not_serving' ? lie : answer));
    await source.run(...exporting, freezing(1), put(KEY, 'late'));
    expect(listener.wrong).toEqual([expect.stringContaining('which is frozen, was answered stored')]);
  });

  it('F51: is not quiet about a read that is answered where its slot is not served', async () => {
    const wrong: string[] = [];
    const verdicts = new Verdicts((what) => wrong.push(what));
    const shard = await Machine.create();
    for (const command of exporting) await shard.run(command);
    const { machine } = shard;
    const key = Buffer.from(KEY);
    const served = verdicts.read(machine, key, machine.lookup(key));
    expect(served.kind).toBe('found');
    for (const command of [freezing(1), step('delete')]) await shard.run(command);
    const refused = verdicts.read(machine, key, machine.lookup(key));
    expect(refused.kind).toBe('not_serving');
    expect(wrong).toEqual([]);
    verdicts.read(machine, key, served);
    expect(wrong).toEqual([expect.stringContaining('was answered found')]);
  });

  it('is not quiet about an Install whose digest differs', async () => {
    const lie: KvResult = {
      kind: 'installed',
      index: 1,
      sums: { keys: 0, bytes: 0, digest: '', idempotencyRecords: 0 },
    };
    const listener = new Listener();
    const target = await listener.replica(2, lying('install', lie));
    const digest = 'ab'.repeat(16);
    await target.run({ kind: 'page', move: MOVE, slots: SLOTS, records: [] });
    await target.run({ kind: 'install', move: MOVE, round: 1, slots: SLOTS, digest, revision: 0, clock_ms: 0 });
    expect(listener.wrong).toEqual([expect.stringContaining('answered installed, but digests differ')]);
  });

  it('is not quiet about a revision that is given twice', async () => {
    const lie: KvResult = { kind: 'stored', created: false, revision: 1, version: 2 };
    const listener = new Listener();
    const shard = await listener.replica(1, (answer) => (answer.kind === 'stored' && !answer.created ? lie : answer));
    await shard.run(init, put(KEY, 'a'), put(KEY, 'b'));
    expect(listener.wrong).toEqual([expect.stringContaining('a write was given revision 1 after 1')]);
  });

  it('is not quiet about a slot that is elsewhere than its answer says', async () => {
    const listener = new Listener();
    const source = await listener.replica(1);
    await source.run(...exporting);
    await source.shard.run(freezing(1)); // unheard
    await source.run(freezing(2));
    expect(listener.wrong).toHaveLength(1);
  });

  it('compares replicas with the one that was first, and knows what those skipped that begin with a snapshot', async () => {
    const listener = new Listener();
    const first = await listener.replica(1);
    await first.run(...exporting);
    const second = await listener.replica(1, lying('freeze', { kind: 'stale' }));
    await second.run(...exporting);
    await first.run(freezing(1));
    expect(listener.wrong).toEqual([]);
    await second.run(freezing(1));
    expect(listener.wrong).toEqual([expect.stringMatching(/answered \{"kind":"stale"\} here, .*"frozen".* elsewhere/)]);
    // A replica that was given the state at index 4, and is the first to apply the next entry.
    const third = await listener.replica(1);
    for (const command of [...exporting, freezing(1)]) await third.shard.run(command);
    await third.run(step('delete'));
    expect(listener.wrong).toHaveLength(1);
  });
});
