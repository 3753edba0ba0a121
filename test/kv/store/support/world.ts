/** Clients, a careless driver and two shards, against a model of what the clients were told. */
import fc from 'fast-check';
import { expect } from 'vitest';
import type { KvCommand, KvResult } from '../../../../src/kv/store/index.js';
import { type SlotRanges, slotOfKey } from '../../../../src/shardctrl/index.js';
import { del, EVERYTHING, put, token } from './commands.js';
import { Machine } from './machine.js';
import { exportAll, install, keysIn, purge } from './moves.js';

const MOVING: SlotRanges = [
  [0, 300],
  [8_000, 8_050],
];
export const KEYS = [...keysIn(MOVING, 3, 'm'), ...keysIn([[9_000, 16_000]], 2, 's')];

export type Step =
  | {
      readonly kind: 'put';
      readonly key: number;
      readonly value: number;
      readonly ttl_ms: number;
      readonly token: number;
    }
  | { readonly kind: 'delete'; readonly key: number; readonly token: number }
  | { readonly kind: 'expire' }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'move'; readonly at: MoveStep };
/** `on`: the step that comes next in a move that goes well, or that ends an aborted one. */
type MoveStep =
  | 'on'
  | 'begin'
  | 'freeze'
  | 'copy'
  | 'install'
  | 'delete'
  | 'purge'
  | 'bar'
  | 'thaw'
  | 'abort'
  | 'unfreeze'
  | 'next';

const keyAt = fc.nat(KEYS.length - 1);
export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      key: keyAt,
      value: fc.nat(99),
      ttl_ms: fc.constantFrom(0, 0, 40, 900_000),
      token: fc.nat(4),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), key: keyAt, token: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('expire' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(20, 50, 600_000) }) },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('move' as const),
      at: fc.constantFrom<MoveStep>(
        'on',
        'on',
        'on',
        'on',
        'on',
        'on',
        'on',
        'on',
        'begin',
        'freeze',
        'copy',
        'install',
        'delete',
        'purge',
        'bar',
        'thaw',
        'abort',
        'unfreeze',
        'next',
      ),
    }),
  },
);

interface Known {
  readonly value: string;
  readonly revision: number;
  readonly version: number;
  readonly expires_ms: number;
}

/**
 * Two shards and a driver that asks for steps of moves in any order, repeats them and forgets answers. It keeps only what
 * the protocol asks of it: it sends Unfreeze once the abort is known, Thaw once the bar is, Delete once the install is
 * published, and begins the next move when this one has ended at both shards.
 */
export class World {
  readonly shards: Machine[] = [];
  readonly model = new Map<string, Known>();
  readonly answers = new Map<string, { readonly result: KvResult; readonly at_ms: number }>();
  readonly lastRevision = new Map<string, number>();
  now_ms = 1_000_000;
  owner = 0;
  move = 1;
  round = 1;
  receipt: { digest: string; revision: number; clock_ms: number } | null = null;
  phase: 'running' | 'published' | 'aborted' | 'ended' = 'running';
  barred = false;
  done = 0;
  pages: Awaited<ReturnType<typeof exportAll>> = [];

  async start(): Promise<void> {
    this.shards.push(await Machine.create(), await Machine.create());
    await this.run(0, { kind: 'init', slots: EVERYTHING });
  }

  async run(shard: number, command: KvCommand): Promise<KvResult> {
    const machine = this.shards[shard]!;
    machine.now_ms = this.now_ms;
    return machine.run(command);
  }

  serving(key: string): number[] {
    return [0, 1].filter((shard) => this.shards[shard]!.machine.serves(slotOfKey(Buffer.from(key))));
  }

  forget(key: string): Known | undefined {
    const known = this.model.get(key);
    if (known === undefined || known.expires_ms === 0 || known.expires_ms > this.now_ms) return known;
    this.model.delete(key);
    return undefined;
  }

  async write(step: Extract<Step, { kind: 'put' | 'delete' }>): Promise<void> {
    const key = KEYS[step.key]!;
    const fingerprint = step.kind === 'put' ? step.value : 200;
    const idempotency = step.token === 0 ? null : token(`t${step.token}`, fingerprint);
    const options = idempotency === null ? {} : { idempotency };
    const command =
      step.kind === 'put' ? put(key, `v${step.value}`, { ...options, ttl_ms: step.ttl_ms }) : del(key, options);
    const [shard] = this.serving(key);
    const results = await Promise.all([0, 1].map((each) => this.run(each, command)));
    for (const each of [0, 1]) if (each !== shard) expect(results[each]!.kind).toBe('not_serving');
    if (shard === undefined) return;
    this.judge(key, step, results[shard]!, idempotency === null ? null : `${key} ${idempotency.key}`, fingerprint);
  }

  judge(
    key: string,
    step: Extract<Step, { kind: 'put' | 'delete' }>,
    result: KvResult,
    asked: string | null,
    fingerprint: number,
  ): void {
    const earlier = asked === null ? undefined : this.answers.get(asked);
    if (asked !== null && earlier !== undefined && this.now_ms < earlier.at_ms + 600_000) {
      const same = this.answers.get(`${asked} fingerprint`)!.at_ms === fingerprint;
      expect(result).toEqual(same ? earlier.result : { kind: 'conflict' });
      return;
    }
    if (asked !== null) {
      this.answers.set(asked, { result, at_ms: this.now_ms });
      this.answers.set(`${asked} fingerprint`, { result, at_ms: fingerprint });
    }
    const known = this.forget(key);
    if (step.kind === 'delete' && known === undefined) {
      expect(result).toEqual({ kind: 'missing' });
      return;
    }
    if (result.kind !== 'stored' && result.kind !== 'deleted') throw new Error(`a write was answered ${result.kind}`);
    expect(result.revision).toBeGreaterThan(this.lastRevision.get(key) ?? 0);
    this.lastRevision.set(key, result.revision);
    if (step.kind === 'delete') {
      expect(result.kind).toBe('deleted');
      this.model.delete(key);
      return;
    }
    const version = (known?.version ?? 0) + 1;
    expect(result).toEqual({ kind: 'stored', created: known === undefined, revision: result.revision, version });
    const expires_ms = step.ttl_ms === 0 ? 0 : this.now_ms + step.ttl_ms;
    this.model.set(key, { value: `v${step.value}`, revision: result.revision, version, expires_ms });
  }

  async drive(step: MoveStep): Promise<void> {
    const at = step === 'on' ? this.following() : step;
    if (step === 'on') this.done++;
    const [from, to] = [this.owner, 1 - this.owner];
    const { move, round } = this;
    const slots = MOVING;
    switch (at) {
      case 'begin':
        await this.run(from, { kind: 'begin_export', move, slots });
        return;
      case 'freeze': {
        const answer = await this.run(from, { kind: 'freeze', move, round, slots });
        if (answer.kind === 'frozen') this.receipt = answer.receipt;
        return;
      }
      case 'copy':
        // Pages of any age may arrive: what was read before is sent again with what is read now.
        this.pages.push(...(await exportAll(this.shards[from]!, slots, 120)));
        if (this.shards[from]!.machine.moveOf(0) !== move) this.pages = [];
        for (const records of this.pages) await this.run(to, { kind: 'page', move, slots, records });
        return;
      case 'install': {
        if (this.receipt === null) return;
        const answer = await install(this.shards[to]!, move, slots, this.receipt, round);
        if (answer.kind === 'installed' && this.phase === 'running') this.phase = 'published';
        return;
      }
      case 'bar': {
        const answer = await this.run(to, { kind: 'bar', move, round, slots });
        this.barred = answer.kind === 'ok';
        return;
      }
      case 'thaw':
        if (!this.barred) return;
        if ((await this.run(from, { kind: 'thaw', move, round, slots })).kind !== 'thawed') return;
        this.round++;
        this.barred = false;
        this.receipt = null;
        return;
      default:
        return this.end(at, from, to);
    }
  }

  async end(at: 'delete' | 'purge' | 'abort' | 'unfreeze' | 'next', from: number, to: number): Promise<void> {
    const { move } = this;
    const slots = MOVING;
    switch (at) {
      case 'delete':
        if (this.phase === 'published') await this.run(from, { kind: 'delete', move, slots });
        return;
      case 'purge':
        await purge(this.shards[from]!, move, slots, 2);
        await purge(this.shards[to]!, move, slots, 2);
        if (this.phase === 'published' && this.shards[from]!.machine.purged(slots)) this.phase = 'ended';
        return;
      case 'abort': {
        const answer = await this.run(to, { kind: 'abort_import', move, slots });
        if (answer.kind === 'aborted') this.phase = 'aborted';
        return;
      }
      case 'unfreeze':
        if (this.phase !== 'aborted') return;
        expect((await this.run(from, { kind: 'unfreeze', move, slots })).kind).toBe('ok');
        return;
      case 'next':
        if (
          this.phase === 'aborted' &&
          this.shards[from]!.machine.floorOf(0) === move &&
          this.shards[from]!.machine.serves(0)
        ) {
          if (this.shards[from]!.machine.moveOf(0) === move) return;
        } else if (this.phase !== 'ended') return;
        if (this.phase === 'ended') this.owner = to;
        this.move++;
        this.round = 1;
        this.phase = 'running';
        this.receipt = null;
        this.barred = false;
        this.pages = [];
    }
  }

  following(): Exclude<MoveStep, 'on'> {
    const course = {
      running: ['begin', 'freeze', 'copy', 'install'],
      published: ['delete', 'purge'],
      aborted: ['unfreeze', 'purge', 'next'],
      ended: ['next'],
    } as const;
    const steps = course[this.phase];
    return steps[this.done % steps.length]!;
  }

  check(): void {
    for (const key of KEYS) {
      const serving = this.serving(key);
      expect(serving.length, `owners of ${key}`).toBeLessThanOrEqual(1);
      if (serving.length === 0) continue;
      const known = this.model.get(key);
      const machine = this.shards[serving[0]!]!.machine;
      const live = known !== undefined && (known.expires_ms === 0 || known.expires_ms > machine.clock_ms);
      const found = machine.lookup(Buffer.from(key));
      if (!live) expect(found).toEqual({ kind: 'missing' });
      else {
        if (found.kind !== 'found') throw new Error(`${key} is ${found.kind}`);
        const { value, revision, version, expires_ms } = found.record;
        expect({ value: value.toString(), revision, version, expires_ms }).toEqual(known);
      }
    }
  }
}
