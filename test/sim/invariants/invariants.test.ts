/** Each of these invariants is shown a cluster in which it does not hold: a check that cannot fail is no check. */
import { describe, expect, it } from 'vitest';
import type { KvCommand, KvResult } from '../../../src/kv/store/index.js';
import { type Entry, EntryKind, type LogWrite, type RecoveredGroup, type Replica } from '../../../src/raft/index.js';
import type { SlotRanges } from '../../../src/shardctrl/index.js';
import { DurableLog } from '../fakes/durable-log.js';
import { AppliedIsDurable } from './applied-is-durable.js';
import { BoundedQueues } from './bounded-queues.js';
import { ConfirmedIsHeld } from './confirmed-is-held.js';
import { DeleteAfterInstall } from './delete-after-install.js';
import { DurableMajority } from './durable-majority.js';
import { EpochsGrow } from './epochs-grow.js';
import type { ClusterState, Invariant, ReplicaView } from './invariant.js';
import { LeaderAppendOnly } from './leader-append-only.js';
import { LeadersStepDown } from './leaders-step-down.js';
import { OldMaps } from './old-maps.js';
import { OneEffect } from './one-effect.js';
import { OneOwner } from './one-owner.js';
import { Promotions } from './promotions.js';
import { ReplicaIds } from './replica-ids.js';
import { SettledMembers } from './settled-members.js';
import { SlotsCovered } from './slots-covered.js';

const view = (replica: unknown, group = 1): ReplicaView => ({ node: 'n1', group, replica: replica as Replica });

function ask(invariant: Invariant, seen: ReplicaView): string | null {
  const state: ClusterState = { now_ms: 0, replicas: [seen], changed: [seen] };
  return invariant.check(state);
}

describe('leader append-only', () => {
  const replica = { role: 'leader', term: 3, lastIndex: 10, terms: new Map([[10, 3]]) };
  const seen = view({
    get role() {
      return replica.role;
    },
    get term() {
      return replica.term;
    },
    get lastIndex() {
      return replica.lastIndex;
    },
    termAt: (at: number) => replica.terms.get(at) ?? null,
  });

  it('lets a leader add, and a follower lose what nobody committed', () => {
    const invariant = new LeaderAppendOnly();
    expect(ask(invariant, seen)).toBeNull();
    replica.lastIndex = 12;
    replica.terms.set(12, 3);
    expect(ask(invariant, seen)).toBeNull();
    Object.assign(replica, { role: 'follower', term: 4, lastIndex: 9 });
    expect(ask(invariant, seen)).toBeNull();
  });

  it('notices a leader that loses an entry, or holds another one in its place', () => {
    Object.assign(replica, { role: 'leader', term: 5, lastIndex: 12 });
    const shorter = new LeaderAppendOnly();
    expect(ask(shorter, seen)).toBeNull();
    replica.lastIndex = 11;
    expect(ask(shorter, seen)).toMatch(/shrunk from 12 to 11/);
    replica.lastIndex = 12;
    const other = new LeaderAppendOnly();
    expect(ask(other, seen)).toBeNull();
    replica.terms.set(12, 5);
    expect(ask(other, seen)).toMatch(/entry 12 has become one of term 5, it was of term 3/);
  });
});

describe('committed is durable on a majority', () => {
  const voters = ['n1', 'n2', 'n3'].map((node, i) => ({ id: i + 1, node }));
  const outgoing = ['n3', 'n4', 'n5'].map((node, i) => ({ id: i + 3, node }));
  const leader = (commit: number, conf: object) =>
    view({ role: 'leader', commit, termAt: () => 4, conf: { voters, outgoing: [], ...conf } });
  const held = (nodes: readonly string[]) =>
    new DurableMajority((node, _group, at, term) => nodes.includes(node) && at === 9 && term === 4);

  it('accepts two of three, and a majority of each half', () => {
    expect(ask(held(['n1', 'n3']), leader(9, {}))).toBeNull();
    expect(ask(held(['n1', 'n3', 'n4']), leader(9, { outgoing }))).toBeNull();
  });

  it('notices one of three, and a half that lacks it', () => {
    expect(ask(held(['n2']), leader(9, {}))).toMatch(/entry 9 of s1 for committed, which is durable on n2 only/);
    expect(ask(held(['n1', 'n2']), leader(9, { outgoing }))).toMatch(/durable on no node only/);
  });

  it('goes by the configuration under which it was committed, and by who committed it', () => {
    const four = { voters: [...voters, { id: 4, node: 'n4' }], outgoing: [] };
    const replica = { role: 'leader', commit: 8, termAt: () => 4, conf: { voters, outgoing: [] } };
    const invariant = held(['n1', 'n2']);
    expect(ask(new DurableMajority(() => true), view(replica))).toBeNull();
    const growing = { ...replica };
    const seen = view(growing);
    expect(ask(invariant, seen)).not.toBeNull();
    // Entry 9 makes a fourth voter: with it two are no majority any more.
    Object.assign(growing, { commit: 9, conf: four });
    expect(ask(invariant, seen)).toBeNull();
    const heir = { ...replica, role: 'follower', commit: 9, conf: four };
    const elected = view(heir);
    expect(ask(invariant, elected)).toBeNull();
    heir.role = 'leader';
    expect(ask(invariant, elected)).toBeNull();
  });
});

describe('what is applied is durable here', () => {
  const applied = (at: number) => view({ applied: at, termAt: (i: number) => (i < 7 ? null : 4) });
  const upTo = (last: number) =>
    new AppliedIsDurable((node, group, at, term) => node === 'n1' && group === 1 && at <= last && term === 4);

  it('accepts what the disk holds, and what is compacted', () => {
    expect(ask(upTo(9), applied(9))).toBeNull();
    expect(ask(upTo(0), applied(6))).toBeNull();
  });

  it('F9 notices what has been applied before its own sync', () => {
    const invariant = upTo(9);
    expect(ask(invariant, applied(9))).toBeNull();
    expect(ask(invariant, applied(10))).toMatch(/n1 has applied entry 10 of s1, of term 4, which its disk may lose/);
  });
});

describe('what a log said is durable', () => {
  const entry = (index: number, term: number) => ({ index, term, kind: 0, data: Buffer.alloc(0) }) as unknown as Entry;
  const write = (snapshot: object | null, ...entries: Entry[]) =>
    ({ group: 1, hardState: null, snapshot, entries }) as unknown as LogWrite;
  const recovered = (base: number, ...entries: Entry[]) =>
    new Map([
      [
        1,
        { hardState: { term: 3, vote: 2 }, compacted: { index: base, term: 1 }, entries } as unknown as RecoveredGroup,
      ],
    ]);
  const filled = (): DurableLog => {
    const durable = new DurableLog();
    durable.wrote(write({ index: 0 }, entry(1, 1), entry(2, 1), entry(3, 1)));
    durable.wrote(write(null, entry(3, 2)));
    return durable;
  };

  it('is what was written last at each place, until a snapshot takes it over', () => {
    const durable = filled();
    const holds = [2, 3, 4].map((at) => [durable.holds(1, at, 1), durable.holds(1, at, 2)]);
    expect(holds).toEqual([
      [true, false],
      [false, true],
      [false, false],
    ]);
    durable.wrote(write({ index: 7 }));
    expect([durable.holds(1, 7, 3), durable.holds(1, 8, 3)]).toEqual([true, false]);
  });

  it('is what others may count on: term, vote, and the last entry (F26)', () => {
    const durable = filled();
    durable.wrote({ group: 1, hardState: { term: 5, vote: 3 }, snapshot: null, entries: [] } as unknown as LogWrite);
    expect(durable.promised().get(1)).toEqual({ term: 5, vote: 3, last: 3, lastTerm: 2 });
    durable.wrote(write({ index: 7, term: 4 }));
    expect(durable.promised().get(1)).toEqual({ term: 5, vote: 3, last: 7, lastTerm: 4 });
    durable.reopened(recovered(7, entry(8, 2)));
    expect(durable.promised().get(1)).toEqual({ term: 3, vote: 2, last: 8, lastTerm: 2 });
    durable.removed(1);
    expect(durable.promised().size).toBe(0);
  });

  it('must be there when it opens again, be it behind a compaction', () => {
    expect(filled().reopened(recovered(0, entry(1, 1), entry(2, 1), entry(3, 2), entry(4, 2)))).toBeNull();
    expect(filled().reopened(recovered(5))).toBeNull();
    expect(filled().reopened(recovered(0, entry(1, 1), entry(2, 1)))).toMatch(/entry 3 .* there is none/);
    expect(filled().reopened(recovered(0, entry(1, 1), entry(2, 1), entry(3, 1)))).toMatch(/one of term 1/);
    expect(filled().reopened(new Map())).toMatch(/entry 3/);
    const gone = filled();
    gone.removed(1);
    expect(gone.reopened(new Map())).toBeNull();
    // A snapshot that was under way when its group was removed does not bring it back; one that comes later does.
    const late = filled();
    const underWay = { ...write({ index: 7, term: 4 }, entry(8, 4)) };
    late.asked(underWay);
    late.removed(1);
    late.wrote(underWay);
    expect(late.reopened(new Map())).toBeNull();
    const anew = filled();
    anew.removed(1);
    anew.wrote(write({ index: 0 }, entry(1, 6)));
    expect(anew.reopened(new Map())).toMatch(/entry 1 .* there is none/);
    const replaced = filled();
    replaced.asked(write(null, entry(3, 4)));
    expect(replaced.reopened(recovered(0, entry(1, 1), entry(2, 1), entry(3, 4)))).toBeNull();
    expect(replaced.reopened(recovered(0, entry(1, 1), entry(2, 1), entry(3, 5)))).toMatch(/entry 3/);
    const rotten = filled();
    rotten.reopened(recovered(0, entry(1, 1)));
    expect(rotten.holds(1, 3, 2)).toBe(true);
  });
});

describe('one effect per idempotency key', () => {
  const write = (token: string, fingerprint: number): KvCommand => ({
    kind: 'put',
    key: Buffer.from('k'),
    value: Buffer.from('v'),
    contentType: '',
    ttl_ms: 0,
    condition: { kind: 'none' },
    idempotency: { key: token, fingerprint: Buffer.alloc(16, fingerprint) },
  });
  const stored = (revision: number): KvResult => ({ kind: 'stored', created: true, revision, version: 1 });

  it('accepts the first answer again, a conflict for another write, and a slot that is not served', () => {
    const invariant = new OneEffect();
    const all: [KvCommand, KvResult][] = [
      [write('t', 1), { kind: 'not_serving', slot: 1, state: 3, move: 7 }],
      [write('t', 1), stored(5)],
      [write('t', 1), stored(5)],
      [write('t', 2), { kind: 'conflict' }],
      [write('u', 1), stored(6)],
    ];
    expect(all.map(([command, answer]) => invariant.applied(command, answer))).toEqual(all.map(() => null));
  });

  it('notices a second effect, and an answer that was meant for another write', () => {
    const invariant = new OneEffect();
    invariant.applied(write('t', 1), stored(5));
    expect(invariant.applied(write('t', 1), stored(6))).toMatch(
      /one effect: put of k .*"revision":6.* before .*"revision":5/,
    );
    expect(invariant.applied(write('t', 2), stored(5))).toMatch(/before \{"kind":"conflict"\}/);
  });
});

describe('delete after install', () => {
  const slots = [[0, 9]] as const;

  it('accepts it in this order, and notices any other', () => {
    const invariant = new DeleteAfterInstall();
    const remove: KvCommand = { kind: 'delete', move: 7, slots };
    expect(invariant.applied(remove, { kind: 'stale' })).toBeNull();
    expect(invariant.applied(remove, { kind: 'ok' })).toMatch(/move 7 was deleted/);
    const sums = { keys: 0, bytes: 0, digest: '', idempotencyRecords: 0 };
    const install: KvCommand = { kind: 'install', move: 7, slots, round: 1, digest: '', revision: 0, clock_ms: 0 };
    expect(invariant.applied(install, { kind: 'installed', index: 3, sums })).toBeNull();
    expect(invariant.applied(remove, { kind: 'ok' })).toBeNull();
  });
});

describe('epochs grow', () => {
  const holder = (id: string, epoch: number) => {
    const listeners: (() => void)[] = [];
    const onChange = (listener: () => void): (() => void) => {
      listeners.push(listener);
      return () => {};
    };
    const maps = { epoch, onChange };
    const set = (next: number): void => {
      maps.epoch = next;
      for (const listener of listeners) listener();
    };
    return { id, node: { maps }, set };
  };

  it('in each process, at each change; a new one may begin with an older map', () => {
    const invariant = new EpochsGrow();
    const first = holder('n1', 3);
    const next = holder('n1', 1);
    expect(invariant.check([first])).toBeNull();
    expect(invariant.check([next])).toBeNull();
    next.set(2);
    first.set(5);
    expect(invariant.check([first, next])).toBeNull();
    first.set(4);
    first.set(6);
    expect(invariant.check([first, next])).toMatch(/n1 went back from epoch 5 to 4/);
  });
});

describe('each slot has an owner', () => {
  const mapOf = (epoch: number, ...slots: [number, number][][]): ReplicaView =>
    view(
      {
        damage: null,
        snapshotIncoming: false,
        machine: { map: () => ({ epoch, shards: slots.map((each) => ({ slots: each })) }) },
      },
      0,
    );

  it('accepts maps in which it is so, and asks of each epoch once', () => {
    const invariant = new SlotsCovered();
    expect(ask(invariant, mapOf(1, [[0, 99]], [[100, 16_383]]))).toBeNull();
    expect(
      ask(
        invariant,
        mapOf(
          2,
          [
            [0, 9],
            [20, 16_383],
          ],
          [[10, 19]],
        ),
      ),
    ).toBeNull();
  });

  it('notices a slot that belongs to nobody, or to two', () => {
    expect(ask(new SlotsCovered(), mapOf(1, [[0, 9]], [[11, 16_383]]))).toMatch(/slots 10-10 belong to nobody/);
    expect(ask(new SlotsCovered(), mapOf(1, [[0, 16_382]]))).toMatch(/slots 16383-16383 belong to nobody/);
    expect(ask(new SlotsCovered(), mapOf(1, [[0, 10]], [[10, 16_383]]))).toMatch(/slot 10 belongs to two/);
  });
});

describe('what was confirmed is held', () => {
  const follower = { role: 'follower', term: 4, damage: null, lastIndex: 9, leaderAge_ms: () => 20 };
  const progress = [{ id: 2, match: 12 }];
  const leader = {
    role: 'leader',
    term: 4,
    damage: null,
    commit: 12,
    status: () => ({ progress }),
    nodeOf: () => 'n2',
  };
  const cluster = (of: object, then: object): ClusterState => {
    const replicas = [view({ ...leader, ...of }), { ...view({ ...follower, ...then }), node: 'n2' }];
    return { now_ms: 0, replicas, changed: replicas };
  };
  const asked = (forgetful: boolean, lost: boolean): ConfirmedIsHeld =>
    new ConfirmedIsHeld({ forgetful: () => forgetful, lost: () => lost });

  it('notices a leader that counts on what its follower does not have', () => {
    expect(asked(false, false).check(cluster({}, {}))).toMatch(
      /counts on s1 up to 12 being on n2, whose log ends at 9/,
    );
    expect(asked(false, false).check(cluster({}, { lastIndex: 12 }))).toBeNull();
    // In another term it is to believe nothing of it; a damaged one was found out; and of a rotten disk anything may be gone.
    expect(asked(false, false).check(cluster({}, { term: 5 }))).toBeNull();
    expect(asked(false, false).check(cluster({}, { damage: 'the log lost entries' }))).toBeNull();
    expect(asked(false, true).check(cluster({}, {}))).toBeNull();
  });

  it('gives one with an old disk the time until it is found out, by heartbeats that tell it (F26)', () => {
    const untold = asked(true, false);
    for (let i = 0; i < 50; i++) expect(untold.check(cluster({ commit: 9 }, {}))).toBeNull();
    for (let i = 0; i < 50; i++) expect(untold.check(cluster({}, { leaderAge_ms: () => 3_000 }))).toBeNull();
    const told = asked(true, false);
    const one = cluster({}, {});
    for (let i = 1; i < 8; i++) expect(told.check(one)).toBeNull();
    expect(told.check(one)).toMatch(/counts on s1/);
  });
});

describe('queues are bounded', () => {
  const limits = { maxInflightMessages: 3, maxInflightBytes: 500, maxUncommittedBytes: 1_000 };
  /** A leader with entries of 68 bytes each, 100 with what an entry costs besides, from 1 on. */
  const leading = (commit: number, lastIndex: number, inflight: object = {}): object => ({
    id: 1,
    role: 'leader',
    term: 4,
    commit,
    lastIndex,
    entriesFrom: (from: number) =>
      Array.from({ length: Math.max(0, lastIndex - from + 1) }, (_, i) => ({
        index: from + i,
        kind: EntryKind.Command,
        data: Buffer.alloc(68),
      })),
    nodeOf: () => 'n2',
    status: () => ({
      progress: [
        {
          id: 2,
          state: 'replicate',
          match: lastIndex,
          next: lastIndex + 1,
          inflightMessages: 0,
          inflightBytes: 0,
          ...inflight,
        },
      ],
    }),
  });
  const ask = (invariant: BoundedQueues, replica: object, now_ms: number): string | null => {
    const views = [view(replica)];
    return invariant.check({ now_ms, replicas: views, changed: views });
  };

  it('F42 accepts full windows, and one entry too many bytes', () => {
    const invariant = new BoundedQueues(() => limits);
    expect(
      ask(invariant, leading(20, 20, { match: 14, next: 20, inflightMessages: 3, inflightBytes: 500 }), 0),
    ).toBeNull();
    expect(ask(invariant, leading(20, 20, { match: 14, next: 21, inflightBytes: 600 }), 100)).toBeNull();
    expect(invariant.peaks).toMatchObject({ inflightMessages: 3, inflightBytes: 600 });
  });

  it('F42 notices messages beyond the window, and bytes, be they counted wrongly', () => {
    const messages = leading(20, 20, { inflightMessages: 4 });
    expect(ask(new BoundedQueues(() => limits), messages, 0)).toMatch(/s1 and has 4 messages .* in flight to n2/);
    const bytes = leading(20, 20, { inflightBytes: 601 });
    expect(ask(new BoundedQueues(() => limits), bytes, 0)).toMatch(/601 bytes/);
    const uncounted = leading(20, 20, { match: 13, next: 21 });
    expect(ask(new BoundedQueues(() => limits), uncounted, 0)).toMatch(/700 bytes/);
  });

  it('F42 notices a leader that takes more than it may leave uncommitted, except when nothing else is', () => {
    const invariant = new BoundedQueues(() => limits);
    const replica = leading(0, 0) as { lastIndex: number };
    const grow = (commit: number, to: number): string | null => {
      Object.assign(replica, leading(commit, to));
      return ask(invariant, replica, 0);
    };
    expect(grow(0, 0)).toBeNull();
    expect(grow(0, 15)).toBeNull();
    expect(grow(15, 15)).toBeNull();
    expect(grow(15, 20)).toBeNull();
    expect(grow(15, 25)).toBeNull();
    expect(grow(15, 26)).toMatch(/1100 uncommitted bytes on top of 1000; the limit is 1000/);
  });
});

describe('old maps', () => {
  const mapped = (machine: object) => view({ damage: null, snapshotIncoming: false, machine }, 0);
  const maps = [0, 1, 2].map((epoch) => ({ epoch, shards: [] }));

  it('stay what they were, on every replica and whenever they are asked for', () => {
    const invariant = new OldMaps();
    expect(ask(invariant, mapped({ map: () => maps[1] }))).toBeNull();
    expect(ask(invariant, mapped({ map: () => maps[2] }))).toBeNull();
    expect(invariant.recall({ mapAt: (epoch) => maps[epoch] as never })).toBeNull();
    expect(invariant.recall({ mapAt: () => maps[2] as never })).toMatch(/epoch 1 is told as/);
    expect(ask(invariant, mapped({ map: () => ({ epoch: 2, shards: [{ id: 1 }] }) }))).toMatch(/epoch 2 is .* it was/);
  });
});

describe('a replica', () => {
  it('is asked, also where a snapshot of a deposed leader is half done, once it leads; and not as long as it may be switching', () => {
    const invariant = new OneOwner();
    const serving = (group: number, role: string, applied: number, slots: SlotRanges, more: object = {}): ReplicaView =>
      view(
        { damage: null, snapshotIncoming: false, role, applied, machine: { servedSlots: () => slots }, ...more },
        group,
      );
    expect(ask(invariant, serving(2, 'follower', 5, [[0, 9]]))).toBeNull();
    // Where one of these were passed over, slot 3 would have two owners; where the other two were not, too.
    expect(ask(invariant, serving(2, 'leader', 6, [[5, 9]], { snapshotIncoming: true }))).toBeNull();
    expect(ask(invariant, serving(2, 'follower', 7, [[0, 9]], { snapshotIncoming: true }))).toBeNull();
    expect(ask(invariant, serving(2, 'leader', 8, [[0, 9]], { damage: 'rot' }))).toBeNull();
    expect(ask(invariant, serving(1, 'leader', 3, [[0, 4]]))).toBeNull();
    expect(ask(invariant, serving(1, 'leader', 4, [[0, 5]]))).toMatch(/slot 5 is served by s1 and by s2/);
  });
});

describe('replica ids', () => {
  const conf = (confIndex: number, ...members: readonly (readonly [id: number, node: string])[]) =>
    view({
      damage: null,
      snapshotIncoming: false,
      commit: 100,
      confIndex,
      members: members.map(([id, node]) => ({ id, node })),
    });

  it('may leave, and others come', () => {
    const invariant = new ReplicaIds();
    expect(ask(invariant, conf(1, [1, 'n1'], [2, 'n2']))).toBeNull();
    expect(ask(invariant, conf(5, [1, 'n1']))).toBeNull();
    // One that lags behind still has the earlier configuration.
    expect(ask(invariant, conf(1, [1, 'n1'], [2, 'n2']))).toBeNull();
    expect(ask(invariant, conf(9, [1, 'n1'], [33, 'n2']))).toBeNull();
  });

  it('never come back, and never name a replica of another node', () => {
    const invariant = new ReplicaIds();
    expect(ask(invariant, conf(1, [1, 'n1'], [2, 'n2']))).toBeNull();
    expect(ask(invariant, conf(5, [1, 'n1']))).toBeNull();
    expect(ask(invariant, conf(9, [1, 'n1'], [2, 'n2']))).toMatch(/replica 2 of s1 had left by entry 5/);
    expect(ask(invariant, conf(9, [1, 'n3']))).toMatch(/replica 1 of s1 is on n3 .* it was on n1/);
  });
});

describe('who has left a group', () => {
  const conf = (confIndex: number, voters: readonly string[], outgoing: readonly string[] = []): ReplicaView => {
    const members = (nodes: readonly string[]) => nodes.map((node) => ({ id: Number(node.slice(1)), node }));
    return view({
      damage: null,
      snapshotIncoming: false,
      role: 'follower',
      confIndex,
      conf: { voters: members(voters), outgoing: members(outgoing) },
    });
  };

  it('is needed until a majority of those who stay know for good that they do', () => {
    const durable = new Map([['n2', 4]]);
    const settled = new SettledMembers((node, _group, index) => (durable.get(node) ?? 0) >= index);
    ask(settled, conf(1, ['n1', 'n2', 'n3']));
    ask(settled, conf(5, ['n2', 'n3', 'n4'], ['n1', 'n2', 'n3']));
    ask(settled, conf(6, ['n2', 'n3', 'n4']));
    durable.set('n2', 6);
    expect(settled.missing(1)).toMatch(/of the members of s1, .*, only n2 know .* since entry 6/);
    durable.set('n4', 6);
    expect(settled.missing(1)).toBeNull();
  });

  it('is not needed again because those who stay have restarted, and name a later entry', () => {
    const settled = new SettledMembers((_node, _group, index) => index <= 6);
    ask(settled, conf(6, ['n2', 'n3', 'n4']));
    ask(settled, conf(9, ['n2', 'n3', 'n4']));
    expect(settled.missing(1)).toBeNull();
    // One that lags behind still has the earlier configuration.
    ask(settled, conf(1, ['n1', 'n2', 'n3']));
    expect(settled.missing(1)).toBeNull();
  });
});

describe('voters', () => {
  const [n1, n2] = [
    { id: 1, node: 'n1' },
    { id: 2, node: 'n2' },
  ];
  const lead = {
    damage: null,
    snapshotIncoming: false,
    role: 'leader',
    commit: 50,
    lastIndex: 50,
    confIndex: 1,
    conf: { voters: [n1], learners: [n2], outgoing: [] },
    nodeOf: (id: number) => `n${id}`,
  };

  /** A leader commits, then has the change in its log, then applies it; the newcomer's log ends there. */
  function promote(endsAt: number, learners: readonly object[]): string | null {
    const replica = { ...lead, conf: { ...lead.conf, learners } };
    const seen: ReplicaView = { node: 'n1', group: 1, replica: replica as unknown as Replica };
    const newcomer: ReplicaView = {
      node: 'n2',
      group: 1,
      replica: { lastIndex: endsAt, damage: null } as unknown as Replica,
    };
    const invariant = new Promotions();
    const at = (now_ms: number): string | null =>
      invariant.check({ now_ms, replicas: [seen, newcomer], changed: [seen] });
    expect(at(0)).toBeNull();
    Object.assign(replica, { commit: 60, lastIndex: 60 });
    expect(at(100)).toBeNull();
    Object.assign(replica, { lastIndex: 61 });
    expect(at(5_000)).toBeNull();
    Object.assign(replica, { confIndex: 61, commit: 61, conf: { voters: [n1, n2], learners: [], outgoing: [] } });
    return at(5_050);
  }

  it('F22: have been learners, and have what was committed long before', () => {
    expect(promote(60, [n2])).toBeNull();
    expect(promote(59, [n2])).toMatch(/n2 is a voter of s1 by entry 61, and its log ends at 59; 60 was committed/);
    expect(promote(60, [])).toMatch(/n2 is a voter of s1 and was never a learner/);
  });
});

describe('leaders without a majority', () => {
  const voters = ['n1', 'n2', 'n3'].map((node, i) => ({ id: i + 1, node }));
  const seen = view({ role: 'leader', damage: null, conf: { voters, outgoing: [] } });
  const near = new Set<string>();
  const asleep = new Set<string>();
  const make = () =>
    new LeadersStepDown({
      reaches: (a, b) => near.has(`${a}${b}`),
      asleep: (node) => asleep.has(node),
      late_ms: () => 0,
    });
  const at = (invariant: Invariant, now_ms: number): string | null =>
    invariant.check({ now_ms, replicas: [seen], changed: [] });

  it('may be without one for a while, not for long; one that sleeps cannot know', () => {
    const invariant = make();
    expect(at(invariant, 0)).toBeNull();
    expect(at(invariant, 3_000)).toBeNull();
    asleep.add('n1');
    expect(at(invariant, 9_000)).toBeNull();
    asleep.clear();
    expect(at(invariant, 10_000)).toBeNull();
    expect(at(invariant, 14_000)).toMatch(/n1 has led s1 for 3500 ms without reaching a majority/);
  });

  it('have one where another hears them and is heard', () => {
    near.add('n1n2');
    const deaf = make();
    expect([at(deaf, 0), at(deaf, 9_000)]).toEqual([null, expect.stringContaining('without reaching')]);
    near.add('n2n1');
    const heard = make();
    expect([at(heard, 0), at(heard, 9_000)]).toEqual([null, null]);
  });
});
