/**
 * Who becomes a voter has been a learner, and had what was committed a while before the change was proposed (sections 4.2.1 and
 * 4.2.2 of the thesis, F22): else the group may have to wait for it as soon as it counts.
 */
import type { Replica, ReplicaId } from '../../../src/raft/index.js';
import { type ClusterState, type Invariant, isWhole, nameOf, type ReplicaView } from './invariant.js';

/** The product looks back by one to two heartbeats of 100 ms of its own clock. */
const WHILE_MS = 1_000;
const KEPT_MS = 30_000;

interface Moment {
  readonly at_ms: number;
  readonly last: number;
  readonly commit: number;
}

interface Known {
  confIndex: number;
  voters: ReadonlySet<ReplicaId>;
  readonly moments: Moment[];
}

export class Promotions implements Invariant {
  readonly name = 'voters have caught up';
  readonly #known = new WeakMap<Replica, Known>();
  /** By group: all that have ever been learners, or were there when the group was made. */
  readonly #probed = new Map<number, Set<ReplicaId>>();

  check(state: ClusterState): string | null {
    for (const view of state.changed) {
      if (!isWhole(view.replica)) continue;
      const wrong = this.#look(view, state);
      if (wrong !== null) return wrong;
    }
    return null;
  }

  #look(view: ReplicaView, state: ClusterState): string | null {
    const { group, replica } = view;
    const { conf, confIndex, commit, lastIndex, role } = replica;
    const known = this.#known.get(replica);
    const leads = role === 'leader';
    if (known !== undefined && known.confIndex === confIndex) {
      if (leads) remember(known.moments, state.now_ms, lastIndex, commit);
      else known.moments.length = 0;
      return null;
    }
    const probed = this.#probed.get(group) ?? new Set(conf.voters.map(({ id }) => id));
    this.#probed.set(group, probed);
    for (const { id } of conf.learners) probed.add(id);
    const voters = new Set(conf.voters.map(({ id }) => id));
    this.#known.set(replica, { confIndex, voters, moments: known?.moments ?? [] });
    if (known === undefined || !leads) return null;
    for (const id of voters) {
      if (known.voters.has(id)) continue;
      const node = replica.nodeOf(id);
      if (!probed.has(id)) return `${node} is a voter of ${nameOf(group)} and was never a learner`;
      const newcomer = state.replicas.find((other) => other.group === group && other.node === node);
      const due = committedBefore(known.moments, confIndex);
      if (newcomer !== undefined && newcomer.replica.lastIndex < due)
        return `${node} is a voter of ${nameOf(group)} by entry ${confIndex}, and its log ends at ${newcomer.replica.lastIndex}; ${due} was committed long before`;
    }
    return null;
  }
}

function remember(moments: Moment[], at_ms: number, last: number, commit: number): void {
  const before = moments.at(-1);
  if (before?.last === last && before.commit === commit) return;
  moments.push({ at_ms, last, commit });
  while (moments[0]!.at_ms < at_ms - KEPT_MS) moments.shift();
}

/** What this leader knew to be committed a while before it had this entry; 0: it is not known. */
function committedBefore(moments: readonly Moment[], entry: number): number {
  const first = moments.findIndex(({ last }) => last >= entry);
  // At the first look it may have been there already.
  if (first <= 0) return 0;
  const until_ms = moments[first]!.at_ms - WHILE_MS;
  return moments.findLast(({ at_ms }) => at_ms <= until_ms)?.commit ?? 0;
}
