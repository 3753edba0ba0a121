import { describe, expect, it } from 'vitest';
import type { KvOutcome, KvRequest, RequestContext } from '../../../src/kv/server/api.js';
import { ClusterClock } from '../../../src/kv/server/cluster-clock.js';
import { encodeRefusal, encodeResultReply, type Refusal, UNKNOWN_REPLY } from '../../../src/kv/server/forward-codec.js';
import { Leaders } from '../../../src/kv/server/leaders.js';
import { MapKeeper } from '../../../src/kv/server/map-keeper.js';
import { Router } from '../../../src/kv/server/router.js';
import { type CallResult, Method, type Rpc } from '../../../src/kv/server/rpc.js';
import { StampClock } from '../../../src/kv/server/stamp-clock.js';
import {
  decodeCommand,
  encodeResult,
  type KvResult,
  type LookupResult,
  type NotServing,
} from '../../../src/kv/store/index.js';
import type { ProposalRefusal, ProposalWaiter, ReadWaiter, ReplicaHost } from '../../../src/raft/index.js';
import { ALL_SLOTS, completed, type ShardMap, SlotState, slotOfKey } from '../../../src/shardctrl/index.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';
import { CountedRequests } from './counted-requests.js';
import { errorOf, get, put } from './sim-cluster.js';

const SHARD = 1;
const STORED: KvResult = { kind: 'stored', created: true, revision: 7, version: 1 };
const SLOT = slotOfKey(Buffer.from('k'));
const FROZEN: NotServing = { kind: 'not_serving', slot: SLOT, state: SlotState.Frozen, move: 42 };

/** This node's replica of the shard, as the router sees it. */
class FakeReplica {
  isLeader = false;
  leads = false;
  leaderNode: string | null = null;
  damage: string | null = null;
  stale_ms = 0;
  /** Since its leader was heard of. */
  leader_ms = 0;
  found: LookupResult = { kind: 'missing' };
  refusal: NotServing | null = null;
  readonly proposed: { readonly data: Buffer; readonly waiter: ProposalWaiter; readonly bytes: Buffer }[] = [];
  readonly reads: ReadWaiter[] = [];
  readonly machine = {
    clock_ms: 0,
    lookup: () => this.found,
    serves: () => this.refusal === null,
    stateOf: () => this.refusal!.state,
    moveOf: () => this.refusal!.move,
  };

  staleness_ms(): number {
    return this.stale_ms;
  }

  leaderAge_ms(): number {
    return this.leader_ms;
  }

  propose(data: Buffer, waiter: ProposalWaiter): void {
    this.proposed.push({ data, waiter, bytes: Buffer.from(data) });
  }

  read(waiter: ReadWaiter): void {
    this.reads.push(waiter);
  }

  lead(): void {
    this.isLeader = true;
    this.leads = true;
    this.leaderNode = 'n1';
  }

  follow(leader: string | null): void {
    this.isLeader = false;
    this.leads = false;
    this.leaderNode = leader;
  }
}

interface Call {
  readonly to: string;
  readonly method: Method;
  readonly done: (result: CallResult) => void;
}

function mapOf(epoch: number, shard = SHARD, members = ['n1', 'n2', 'n3']): ShardMap {
  return completed({
    clusterId: 'c',
    epoch,
    shards: [{ id: shard, slots: ALL_SLOTS, members: members.map((node, i) => ({ node, replica: i + 1 })) }],
    nodes: [],
  });
}

/** A router on n1 of a shard on n1, n2 and n3. */
class World {
  readonly scheduler = new SimScheduler();
  readonly clock = new SimClock(this.scheduler);
  readonly replica = new FakeReplica();
  readonly calls: Call[] = [];
  readonly maps = new MapKeeper();
  readonly leaders: Leaders;
  readonly router: Router;
  readonly clusterClock: ClusterClock = new ClusterClock(this.clock, () => 0);
  readonly load = new CountedRequests();
  voters: readonly string[] = [];
  hosted = true;
  away = '';

  constructor(options: { readonly maxOperations?: number; readonly map?: ShardMap | null } = {}) {
    const host = {
      get: (group: number) => (this.hosted && group === SHARD ? this.replica : undefined),
    } as unknown as ReplicaHost;
    const rpc = {
      call: (to: string, method: Method, _body: Uint8Array, _timeout_ms: number, done: Call['done']) => {
        this.calls.push({ to, method, done });
      },
    } as unknown as Rpc;
    this.leaders = new Leaders('n1', () => host);
    const stamps = new StampClock(this.clusterClock, () => this.voters);
    this.router = new Router({
      self: 'n1',
      clock: this.clock,
      host,
      rpc,
      maps: this.maps,
      leaders: this.leaders,
      clusterClock: this.clusterClock,
      load: this.load,
      stampOf: () => stamps,
      attempt_ms: 1_000,
      maxOperations: options.maxOperations ?? 100,
      away: () => this.away,
    });
    if (options.map !== null) this.maps.offer(options.map ?? mapOf(3), []);
  }

  /** All outcomes that the request gets: one, in the end. */
  execute(request: KvRequest, context: Partial<RequestContext> = {}): KvOutcome[] {
    const outcomes: KvOutcome[] = [];
    const full = { timeout_ms: 8_000, noForward: false, requestId: 'test', ...context };
    this.router.execute(request, full, (outcome) => outcomes.push(outcome));
    return outcomes;
  }

  run(duration_ms: number): Promise<void> {
    return this.scheduler.runFor(duration_ms);
  }

  reply(call: Call, result: KvResult): void {
    call.done({ kind: 'reply', body: encodeResultReply(0, encodeResult(result)) });
  }

  refuse(call: Call, reason: Refusal, leader: string | null = null): void {
    call.done({ kind: 'reply', body: encodeRefusal(reason, leader) });
  }
}

const plain = put('k', 'v');
const idempotent = put('k', 'v', { token: 'once' });

describe('a write at its leader', () => {
  it.each([
    [STORED, { kind: 'stored', created: true, revision: 7, version: 1, shard: 's1' }],
    [
      { kind: 'deleted', revision: 8 },
      { kind: 'deleted', revision: 8, shard: 's1' },
    ],
    [{ kind: 'missing' }, { kind: 'missing', shard: 's1' }],
    [
      { kind: 'precondition_failed', revision: 5 },
      { kind: 'precondition_failed', revision: 5, shard: 's1' },
    ],
  ] as [KvResult, KvOutcome][])('that is applied as %j is answered so, once', async (result, outcome) => {
    const world = new World();
    world.replica.lead();
    const outcomes = world.execute(plain);
    world.replica.proposed[0]!.waiter.applied(result, 1 as never);
    expect(outcomes).toEqual([outcome]);
    await world.run(20_000);
    expect(outcomes).toHaveLength(1);
    expect(world.router.active).toBe(0);
    expect(world.scheduler.idle).toBe(true);
  });

  it('under an idempotency key that was used for another request is a conflict', () => {
    const world = new World();
    world.replica.lead();
    const outcomes = world.execute(idempotent);
    world.replica.proposed[0]!.waiter.applied({ kind: 'conflict' }, 1 as never);
    expect(errorOf(outcomes[0]!).code).toBe('conflict');
  });

  it.each(['not_leader', 'transferring', 'superseded', 'overloaded'] as ProposalRefusal[])(
    'that is refused (%s) is sent again, also without an idempotency key',
    async (reason) => {
      const world = new World();
      world.replica.lead();
      const outcomes = world.execute(plain);
      world.replica.proposed[0]!.waiter.refused(reason);
      await world.run(50);
      expect(world.replica.proposed).toHaveLength(2);
      world.replica.proposed[1]!.waiter.applied(STORED, 2 as never);
      expect(outcomes).toMatchObject([{ kind: 'stored' }]);
    },
  );

  it('that may or may not be applied is told so at once, without an idempotency key', async () => {
    const world = new World();
    world.replica.lead();
    const outcomes = world.execute(plain);
    world.replica.proposed[0]!.waiter.unknown();
    expect(errorOf(outcomes[0]!)).toMatchObject({ code: 'outcome_unknown', shard: 's1', slot: SLOT, epoch: 3 });
    await world.run(10_000);
    expect(world.replica.proposed).toHaveLength(1);
  });

  it('that may or may not be applied is repeated where it has one (F50)', async () => {
    const world = new World();
    world.replica.lead();
    const outcomes = world.execute(idempotent);
    world.replica.proposed[0]!.waiter.unknown();
    await world.run(50);
    world.replica.proposed[1]!.waiter.applied(STORED, 2 as never);
    expect(outcomes).toMatchObject([{ kind: 'stored' }]);
  });

  it('without an answer is repeated elsewhere after a while, only where it has an idempotency key', async () => {
    const world = new World();
    world.replica.lead();
    world.execute(plain);
    world.execute(idempotent);
    world.replica.follow('n2');
    await world.run(1_100);
    expect(world.replica.proposed).toHaveLength(2);
    expect(world.calls.map(({ to, method }) => [to, method])).toEqual([['n2', Method.Write]]);
  });

  it('that stands in the log of this node is not proposed again while the node leads: under load that would keep it waiting', async () => {
    const world = new World();
    world.replica.lead();
    const outcomes = world.execute(idempotent);
    await world.run(5_000);
    expect(world.replica.proposed).toHaveLength(1);
    world.replica.proposed[0]!.waiter.applied(STORED, 1 as never);
    expect(outcomes).toMatchObject([{ kind: 'stored' }]);
  });

  it('is answered by the first of its attempts that succeeds, and only then', async () => {
    const world = new World();
    world.replica.lead();
    const outcomes = world.execute(idempotent);
    world.replica.follow('n2');
    await world.run(1_100);
    world.replica.proposed[0]!.waiter.applied(STORED, 1 as never);
    expect(outcomes).toMatchObject([{ kind: 'stored', revision: 7 }]);
    world.reply(world.calls[0]!, { ...STORED, revision: 9 });
    expect(outcomes).toHaveLength(1);
  });

  it('never changes bytes that may stand in a log already', async () => {
    const world = new World();
    world.replica.lead();
    world.execute(idempotent);
    for (let attempt = 0; attempt < 3; attempt++) {
      world.replica.proposed[attempt]!.waiter.unknown();
      await world.run(150);
    }
    expect(world.replica.proposed).toHaveLength(4);
    for (const { data, bytes } of world.replica.proposed) expect(data.equals(bytes)).toBe(true);
    expect(new Set(world.replica.proposed.map(({ data }) => data)).size).toBe(world.replica.proposed.length);
  });

  it('for a slot that is frozen does not enter the log; it goes on with the event it waits for', async () => {
    const world = new World();
    world.replica.lead();
    world.replica.refusal = FROZEN;
    const outcomes = world.execute(plain);
    await world.run(105);
    expect(world.replica.proposed).toEqual([]);
    world.replica.refusal = null;
    world.router.wake();
    await world.run(0);
    expect(world.replica.proposed).toHaveLength(1);
    expect(outcomes).toEqual([]);
  });
});

describe('what a request is told at its deadline', () => {
  it('a write that was sent: perhaps applied', async () => {
    const world = new World();
    world.replica.lead();
    const outcomes = world.execute(plain, { timeout_ms: 500 });
    await world.run(530);
    expect(errorOf(outcomes[0]!)).toMatchObject({ code: 'outcome_unknown', shard: 's1', slot: SLOT, epoch: 3 });
    world.replica.proposed[0]!.waiter.applied(STORED, 1 as never);
    expect(outcomes).toHaveLength(1);
  });

  it('a write that was refused each time: not applied, there is no leader, and who is missing', async () => {
    const world = new World();
    world.away = 'n2 is down, n3 is suspect';
    const outcomes = world.execute(plain, { timeout_ms: 500 });
    for (let i = 0; i < 60; i++) {
      for (const call of world.calls.splice(0)) world.refuse(call, 'not_leader');
      await world.run(10);
    }
    const error = errorOf(outcomes[0]!);
    expect(error).toMatchObject({ code: 'no_leader', shard: 's1', slot: SLOT, epoch: 3 });
    expect(error.detail).toContain('n2 is down, n3 is suspect');
  });

  it('a write of which one attempt was refused and one was not: perhaps applied', async () => {
    const world = new World();
    world.replica.lead();
    const outcomes = world.execute(idempotent, { timeout_ms: 2_500 });
    world.replica.proposed[0]!.waiter.unknown();
    await world.run(50);
    world.replica.proposed[1]!.waiter.refused('not_leader');
    world.replica.follow(null);
    await world.run(2_500);
    for (const call of world.calls) world.refuse(call, 'not_leader');
    expect(errorOf(outcomes[0]!).code).toBe('outcome_unknown');
  });

  it('a read that was sent: 503, never 504', async () => {
    const world = new World();
    world.replica.lead();
    const outcomes = world.execute(get('k'), { timeout_ms: 500 });
    await world.run(530);
    expect(errorOf(outcomes[0]!)).toMatchObject({ code: 'unavailable', shard: 's1' });
  });

  it('a request for a frozen slot: which move holds it', async () => {
    const world = new World();
    world.replica.lead();
    world.replica.refusal = FROZEN;
    const outcomes = world.execute(plain, { timeout_ms: 500 });
    await world.run(530);
    const error = errorOf(outcomes[0]!);
    expect(error).toMatchObject({ code: 'slot_moving', phase: 'frozen', shard: 's1', slot: SLOT });
    expect(error.detail).toContain('move 42');
  });

  it('without a map: that this node has none', async () => {
    const world = new World({ map: null });
    const outcomes = world.execute(get('k'), { timeout_ms: 500 });
    await world.run(530);
    expect(errorOf(outcomes[0]!)).toMatchObject({
      code: 'unavailable',
      detail: expect.stringContaining('no shard map'),
    });
  });

  it('a shard with too much uncommitted: overloaded', async () => {
    const world = new World();
    world.replica.lead();
    const outcomes = world.execute(plain, { timeout_ms: 100 });
    for (let i = 0; i < 10; i++) {
      for (const { waiter } of world.replica.proposed.splice(0)) waiter.refused('overloaded');
      await world.run(15);
    }
    expect(errorOf(outcomes[0]!).code).toBe('overloaded');
  });

  it('a write with a ttl while the time is not known: held until a majority of the members has said it (F13)', async () => {
    const world = new World();
    world.voters = ['n1', 'n2', 'n3'];
    world.replica.lead();
    const brief = put('k', 'v', { ttl_ms: 500 });
    const [late, outcomes] = [world.execute(brief, { timeout_ms: 100 }), world.execute(brief)];
    await world.run(200);
    expect(errorOf(late[0]!)).toMatchObject({
      code: 'unavailable',
      detail: expect.stringContaining('what time it is'),
    });
    expect(world.replica.proposed).toEqual([]);
    world.execute(plain);
    expect(world.replica.proposed).toHaveLength(1);
    world.clusterClock.heard('n3', world.clock.wall_ms(), 0);
    await world.run(100);
    world.replica.proposed[1]!.waiter.applied(STORED, 2 as never);
    expect(outcomes).toMatchObject([{ kind: 'stored' }]);
  });

  it('a write with an idempotency key where stamps are far behind and the time is not known: held until it is, for its result would be forgotten at once (F50)', async () => {
    const world = new World();
    world.voters = ['n1', 'n2', 'n3'];
    world.replica.lead();
    // Since then the shard has had no leader.
    world.replica.machine.clock_ms = world.clock.wall_ms() - 900_000;
    const outcomes = world.execute(idempotent);
    await world.run(200);
    expect(world.replica.proposed).toEqual([]);
    world.execute(plain);
    expect(world.replica.proposed).toHaveLength(1);
    world.clusterClock.heard('n3', world.clock.wall_ms(), 0);
    await world.run(100);
    const { data, waiter } = world.replica.proposed[1]!;
    expect((decodeCommand(data) as { stamp_ms: number }).stamp_ms).toBeGreaterThan(world.clock.wall_ms() - 1_000);
    waiter.applied(STORED, 2 as never);
    expect(outcomes).toMatchObject([{ kind: 'stored' }]);
  });

  it('a stale read where every replica is too old: why', async () => {
    const world = new World();
    world.replica.stale_ms = 20_000;
    const outcomes = world.execute(
      { kind: 'get', key: Buffer.from('k'), consistency: 'stale', maxStaleness_ms: null },
      { timeout_ms: 300 },
    );
    for (let i = 0; i < 12; i++) {
      for (const call of world.calls.splice(0)) world.refuse(call, 'too_old');
      await world.run(30);
    }
    expect(errorOf(outcomes[0]!)).toMatchObject({
      code: 'unavailable',
      detail: expect.stringContaining('recently enough'),
    });
  });
});

describe('a forwarded write', () => {
  function forwarded(request: KvRequest = plain) {
    const world = new World();
    world.replica.follow('n2');
    const outcomes = world.execute(request);
    expect(world.calls.map(({ to, method }) => [to, method])).toEqual([['n2', Method.Write]]);
    return { world, outcomes, call: world.calls[0]! };
  }

  it('is answered with what the leader says', () => {
    const { world, outcomes, call } = forwarded();
    world.reply(call, STORED);
    expect(outcomes).toEqual([{ kind: 'stored', created: true, revision: 7, version: 1, shard: 's1' }]);
  });

  it('goes at once to the leader that a refusal names', () => {
    const { world, call } = forwarded();
    world.replica.follow(null);
    world.refuse(call, 'not_leader', 'n3');
    expect(world.calls.map(({ to }) => to)).toEqual(['n2', 'n3']);
  });

  it('goes to the leader that others name where the own replica has not heard of its for long: it may be no member any more', () => {
    const world = new World();
    world.replica.follow('n2');
    world.replica.leader_ms = 60_000;
    world.leaders.hint(SHARD, 'n3');
    world.execute(plain);
    expect(world.calls.map(({ to }) => to)).toEqual(['n3']);
  });

  it('is not bounced for ever between two nodes that name each other', async () => {
    const { world } = forwarded();
    world.replica.follow(null);
    for (let i = 0; i < 10; i++) {
      const call = world.calls.at(-1)!;
      world.refuse(call, 'not_leader', call.to === 'n2' ? 'n3' : 'n2');
    }
    expect(world.calls.length).toBeLessThanOrEqual(3);
  });

  it('that was not sent is tried again', async () => {
    const { world, call } = forwarded();
    call.done({ kind: 'unsent' });
    await world.run(50);
    expect(world.calls).toHaveLength(2);
  });

  it.each([
    ['is lost', (call: Call) => call.done({ kind: 'lost' })],
    ['is unknown to the leader', (call: Call) => call.done({ kind: 'reply', body: UNKNOWN_REPLY })],
    ['gets an answer that nobody understands', (call: Call) => call.done({ kind: 'reply', body: Buffer.from([9]) })],
  ])('that %s is repeated only with an idempotency key (F50)', async (_, end) => {
    const without = forwarded(plain);
    end(without.call);
    expect(errorOf(without.outcomes[0]!).code).toBe('outcome_unknown');
    const having = forwarded(idempotent);
    end(having.call);
    expect(having.outcomes).toEqual([]);
    await having.world.run(50);
    having.world.reply(having.world.calls[1]!, STORED);
    expect(having.outcomes).toMatchObject([{ kind: 'stored' }]);
  });

  it('for a slot that has moved goes on with the newer map at once (F59)', async () => {
    const { world, outcomes, call } = forwarded();
    world.reply(call, { ...FROZEN, state: SlotState.Purging });
    await world.run(1);
    expect(world.calls).toHaveLength(1);
    world.maps.offer(mapOf(4, 2, ['n5']), []);
    await world.run(0);
    expect(world.calls.map(({ to }) => to)).toEqual(['n2', 'n5']);
    world.reply(world.calls[1]!, STORED);
    expect(outcomes).toMatchObject([{ kind: 'stored', shard: 's2' }]);
  });

  it('for a slot that stays frozen asks its leader less and less often, and hears of a thaw there within 100 ms (F63)', async () => {
    const { world } = forwarded();
    const asked_ms: number[] = [];
    for (let passed_ms = 0; passed_ms < 5_000; passed_ms++) {
      for (const call of world.calls.splice(0)) {
        asked_ms.push(passed_ms);
        world.reply(call, FROZEN);
      }
      await world.run(1);
    }
    const gaps = asked_ms.slice(1).map((at_ms, i) => at_ms - asked_ms[i]!);
    expect(Math.max(...gaps.slice(0, 9))).toBeLessThanOrEqual(40);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(101);
    expect(asked_ms.filter((at_ms) => at_ms >= 1_000).length).toBeLessThanOrEqual(50);
  });

  it('that the former owner turns away goes on at once if the newer map has come meanwhile (F59)', () => {
    const { world, call } = forwarded();
    world.maps.offer(mapOf(4, 2, ['n5']), []);
    world.reply(call, { ...FROZEN, state: SlotState.Purging });
    expect(world.calls.map(({ to }) => to)).toEqual(['n2', 'n5']);
  });

  it('is answered for the shard that carried it out, also when the map is newer by then', async () => {
    const { world, outcomes, call } = forwarded(idempotent);
    await world.run(1_100);
    world.maps.offer(mapOf(4, 2, ['n5']), []);
    await world.run(2_000);
    world.reply(call, STORED);
    expect(outcomes).toMatchObject([{ kind: 'stored', shard: 's1' }]);
  });
});

describe('a read', () => {
  const found = (value: string): LookupResult => ({
    kind: 'found',
    record: { value: Buffer.from(value), contentType: 't', revision: 1, version: 1, expires_ms: 0 },
  });

  it('looks into the state only when the replica says that it may (F10, F11)', () => {
    const world = new World();
    world.replica.lead();
    world.replica.found = found('old');
    const outcomes = world.execute(get('k'));
    expect(outcomes).toEqual([]);
    world.replica.found = found('new');
    world.replica.reads[0]!.ready();
    expect(outcomes).toMatchObject([{ kind: 'found', value: Buffer.from('new') }]);
  });

  it('without an answer here is asked elsewhere, and takes the first answer', async () => {
    const world = new World();
    world.replica.follow('n2');
    const outcomes = world.execute(get('k'));
    await world.run(1_100);
    expect(world.calls.map(({ to }) => to)).toEqual(['n2']);
    world.replica.found = found('late');
    world.replica.reads[0]!.ready();
    expect(outcomes).toMatchObject([{ kind: 'found', value: Buffer.from('late') }]);
  });

  it('never takes a key for missing because its slot is on its way (F53)', async () => {
    const world = new World();
    world.replica.lead();
    world.replica.found = FROZEN;
    const outcomes = world.execute(get('k'));
    world.replica.reads[0]!.ready();
    expect(outcomes).toEqual([]);
    world.replica.found = found('v');
    await world.run(50);
    world.replica.reads[1]!.ready();
    expect(outcomes).toMatchObject([{ kind: 'found' }]);
  });

  it('that may be stale and is not served here is asked elsewhere', async () => {
    const world = new World();
    world.replica.follow('n2');
    world.replica.found = FROZEN;
    world.execute({ kind: 'get', key: Buffer.from('k'), consistency: 'stale', maxStaleness_ms: null });
    await world.run(50);
    expect(world.calls).toHaveLength(1);
  });

  it('that may be stale is asked of a quorum where the leader is here and was not confirmed lately enough', async () => {
    const world = new World();
    world.replica.lead();
    world.replica.stale_ms = 60;
    world.replica.found = found('v');
    const stale = { kind: 'get', key: Buffer.from('k'), consistency: 'stale' } as const;
    const within = world.execute({ ...stale, maxStaleness_ms: 60 });
    expect(within).toMatchObject([{ kind: 'found' }]);
    expect(world.replica.reads).toEqual([]);
    const beyond = world.execute({ ...stale, maxStaleness_ms: 50 });
    expect(beyond).toEqual([]);
    world.replica.reads[0]!.ready();
    expect(beyond).toMatchObject([{ kind: 'found' }]);
    expect(world.calls).toEqual([]);
  });

  it('of a value that is not what was written is an error, never the value (F38)', () => {
    const world = new World();
    world.replica.lead();
    world.replica.found = { kind: 'corrupt', detail: 'checksum' };
    const outcomes = world.execute(get('k'));
    world.replica.reads[0]!.ready();
    expect(errorOf(outcomes[0]!).code).toBe('internal');
  });
});

describe('a request that is not to be forwarded', () => {
  it('names owner, leader and epoch', () => {
    const world = new World();
    world.replica.follow('n2');
    const outcomes = world.execute(plain, { noForward: true });
    expect(errorOf(outcomes[0]!)).toMatchObject({
      code: 'wrong_shard',
      shard: 's1',
      leader: 'n2',
      epoch: 3,
      slot: SLOT,
    });
    expect(world.calls).toEqual([]);
  });

  it('names no leader where none is known, instead of guessing', () => {
    const world = new World();
    world.hosted = false;
    const outcomes = world.execute(plain, { noForward: true });
    const error = errorOf(outcomes[0]!);
    expect(error.code).toBe('wrong_shard');
    expect(error.leader).toBeUndefined();
  });

  it('names them to a read, too, which only the leader answers', () => {
    const world = new World();
    world.replica.follow('n2');
    const outcomes = world.execute(get('k'), { noForward: true });
    expect(errorOf(outcomes[0]!)).toMatchObject({
      code: 'wrong_shard',
      shard: 's1',
      leader: 'n2',
      epoch: 3,
      slot: SLOT,
    });
    expect([world.calls, world.replica.reads]).toEqual([[], []]);
  });

  it('and is read at the leader is answered', () => {
    const world = new World();
    world.replica.lead();
    const outcomes = world.execute(get('k'), { noForward: true });
    world.replica.reads[0]!.ready();
    expect(outcomes).toEqual([{ kind: 'missing', shard: 's1' }]);
  });

  it('and may be stale is answered by any replica that is young enough, and waits where it is not', async () => {
    const world = new World();
    world.replica.follow('n2');
    const stale: KvRequest = { kind: 'get', key: Buffer.from('k'), consistency: 'stale', maxStaleness_ms: 500 };
    expect(world.execute(stale, { noForward: true })).toEqual([{ kind: 'missing', shard: 's1' }]);
    world.replica.stale_ms = 600;
    const outcomes = world.execute(stale, { noForward: true });
    await world.run(200);
    expect(outcomes).toEqual([]);
    world.replica.stale_ms = 400;
    await world.run(200);
    expect(outcomes).toEqual([{ kind: 'missing', shard: 's1' }]);
    expect(world.calls).toEqual([]);
  });

  it.each([
    ['write', plain],
    ['read', get('k')],
  ])('never names the node that was asked as the leader (%s)', async (_, request) => {
    const world = new World();
    world.leaders.hint(SHARD, 'n1');
    const outcomes = world.execute(request, { noForward: true });
    await world.run(100);
    expect(outcomes).toEqual([]);
    world.replica.follow('n3');
    world.router.wake();
    await world.run(0);
    expect(errorOf(outcomes[0]!)).toMatchObject({ code: 'wrong_shard', leader: 'n3' });
  });

  it('waits where this node may be elected, also to read', async () => {
    const world = new World();
    const outcomes = world.execute(get('k'), { noForward: true });
    await world.run(500);
    expect(outcomes).toEqual([]);
    world.replica.lead();
    world.router.wake();
    await world.run(0);
    world.replica.reads[0]!.ready();
    expect(outcomes).toMatchObject([{ kind: 'missing' }]);
  });

  it('and may have been applied before the leadership went is told that, not that it was refused', async () => {
    const world = new World();
    world.replica.lead();
    const outcomes = world.execute(idempotent, { noForward: true });
    world.replica.proposed[0]!.waiter.unknown();
    world.replica.follow('n2');
    world.router.wake();
    await world.run(0);
    expect(errorOf(outcomes[0]!)).toMatchObject({ code: 'outcome_unknown', shard: 's1', slot: SLOT, epoch: 3 });
    expect(world.calls).toEqual([]);
  });

  it('and certainly has not been applied is refused as any other, though it was sent', async () => {
    const world = new World();
    world.replica.lead();
    const outcomes = world.execute(idempotent, { noForward: true });
    world.replica.proposed[0]!.waiter.refused('not_leader');
    world.replica.follow('n2');
    world.router.wake();
    await world.run(0);
    expect(errorOf(outcomes[0]!)).toMatchObject({ code: 'wrong_shard', leader: 'n2' });
  });

  it('waits where this node may be elected', async () => {
    const world = new World();
    const outcomes = world.execute(plain, { noForward: true });
    await world.run(500);
    expect(outcomes).toEqual([]);
    world.replica.lead();
    world.router.wake();
    await world.run(0);
    expect(world.replica.proposed).toHaveLength(1);
  });
});

describe('limits', () => {
  it('more than so many operations are refused at once', () => {
    const world = new World({ maxOperations: 2 });
    world.replica.lead();
    const outcomes = [world.execute(plain), world.execute(plain), world.execute(plain)];
    expect(outcomes.map((of) => of.length)).toEqual([0, 0, 1]);
    expect(errorOf(outcomes[2]![0]!).code).toBe('overloaded');
    world.replica.proposed[0]!.waiter.applied(STORED, 1 as never);
    expect(world.execute(plain)).toEqual([]);
  });

  it('a node that stops tells each request what became of it, once', async () => {
    const world = new World();
    world.replica.lead();
    const [written, read] = [world.execute(plain), world.execute(get('k'))];
    world.replica.follow(null);
    const waiting = world.execute(plain);
    world.router.close();
    expect([written, read, waiting].map((outcomes) => errorOf(outcomes[0]!).code)).toEqual([
      'outcome_unknown',
      'unavailable',
      'unavailable',
    ]);
    expect(errorOf(waiting[0]!).detail).toContain('shutting down');
    expect(errorOf(world.execute(plain)[0]!).code).toBe('unavailable');
    world.replica.proposed[0]!.waiter.applied(STORED, 1 as never);
    await world.run(10_000);
    expect([written, read, waiting].map((outcomes) => outcomes.length)).toEqual([1, 1, 1]);
  });

  it('while a replica here waits for a leader, the others are asked now and then, not all the time', async () => {
    const world = new World();
    world.execute(plain);
    await world.run(4_000);
    expect(world.calls.length).toBeGreaterThan(0);
    expect(world.calls.length).toBeLessThan(20);
  });
});

describe('the load of this node', () => {
  it('is what replicas here carry out, each attempt of it', async () => {
    const world = new World();
    world.replica.lead();
    world.execute(plain);
    world.execute(get('k'));
    expect(world.load.counted).toEqual([`wrote ${SLOT} k`]);
    world.replica.reads[0]!.ready();
    world.replica.follow('n2');
    world.execute({ ...get('k'), consistency: 'stale' } as KvRequest);
    world.replica.proposed[0]!.waiter.refused('not_leader');
    world.replica.lead();
    await world.run(50);
    expect(world.load.counted).toEqual([`wrote ${SLOT} k`, `read ${SLOT} k`, `read ${SLOT} k`, `wrote ${SLOT} k`]);
  });

  it('is neither what is passed on nor what is refused', async () => {
    const world = new World();
    world.replica.follow('n2');
    world.execute(plain);
    world.hosted = false;
    world.execute(get('k'));
    expect(world.calls).toHaveLength(2);
    world.hosted = true;
    world.replica.lead();
    world.replica.refusal = FROZEN;
    world.replica.found = FROZEN;
    world.execute(plain);
    world.execute(get('k'));
    world.replica.reads[0]!.ready();
    expect(world.load.counted).toEqual([]);
  });
});
