/** Each of these invariants is shown a cluster in which it does not hold: a check that cannot fail is no check. */
import { describe, expect, it } from 'vitest';
import type { Replica } from '../../../src/raft/index.js';
import type { ClusterState, Invariant, ReplicaView } from './invariant.js';
import { LeaderAppendOnly } from './leader-append-only.js';
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
