/**
 * What a leader believes that a follower has confirmed, that follower has: it may have been committed on its word. Only one
 * that got an old copy of its disk may have forgotten it (F26), and not for long where its leader stays: the first heartbeat
 * that names a commit index beyond its log finds it out.
 */
import type { Replica } from '../../../src/raft/index.js';
import { type ClusterState, type Invariant, nameOf, type ReplicaView } from './invariant.js';

/** How often the follower is to be seen with a leader that it has just heard of, before it must have been found out. */
const LOOKS = 8;
const HEARD_MS = 150;

export interface ConfirmedIsHeldOptions {
  /** It has got an old copy of its disk. */
  readonly forgetful: (node: string) => boolean;
  /** What is on its disk nobody answers for. */
  readonly lost: (node: string) => boolean;
}

export class ConfirmedIsHeld implements Invariant {
  readonly name = 'what was confirmed is held';
  readonly #options: ConfirmedIsHeldOptions;
  /** By follower: how often it was seen behind what its leader believes. */
  readonly #looks = new WeakMap<Replica, number>();

  constructor(options: ConfirmedIsHeldOptions) {
    this.#options = options;
  }

  check(state: ClusterState): string | null {
    for (const leader of state.replicas) {
      if (leader.replica.role !== 'leader' || leader.replica.damage !== null) continue;
      for (const { id, match } of leader.replica.status().progress) {
        const node = leader.replica.nodeOf(id);
        const follower = state.replicas.find((view) => view.group === leader.group && view.node === node);
        if (follower === undefined || !this.#forgot(leader, follower, match)) continue;
        return `${leader.node} counts on ${nameOf(leader.group)} up to ${match} being on ${node}, whose log ends at ${follower.replica.lastIndex}`;
      }
    }
    return null;
  }

  #forgot(leader: ReplicaView, { node, replica }: ReplicaView, match: number): boolean {
    const { damage, lastIndex, term } = replica;
    if (damage !== null || term !== leader.replica.term || match <= lastIndex || this.#options.lost(node)) return false;
    if (!this.#options.forgetful(node)) return true;
    // The leader says no more of the commit index than what it believes the follower to have.
    if (leader.replica.commit <= lastIndex || replica.leaderAge_ms() > HEARD_MS) return false;
    const looks = (this.#looks.get(replica) ?? 0) + 1;
    this.#looks.set(replica, looks);
    return looks >= LOOKS;
  }
}
