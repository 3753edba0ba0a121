/** What a leader takes for committed is durable on a majority of the voters, of both halves of a joint configuration (F32). */
import { index, type Member, type Replica } from '../../../src/raft/index.js';
import { type ClusterState, type Invariant, nameOf } from './invariant.js';

/** By node: does its disk hold this entry? */
export type Holds = (node: string, group: number, index: number, term: number) => boolean;

export class DurableMajority implements Invariant {
  readonly name = 'committed is durable on a majority';
  readonly #holds: Holds;
  readonly #checked = new WeakMap<Replica, number>();

  constructor(holds: Holds) {
    this.#holds = holds;
  }

  check(state: ClusterState): string | null {
    for (const { node, group, replica } of state.changed) {
      const { role, commit } = replica;
      if (role !== 'leader' || commit <= (this.#checked.get(replica) ?? 0)) continue;
      this.#checked.set(replica, commit);
      const term = replica.termAt(index(commit));
      if (term === null) continue;
      const { conf } = replica.status();
      for (const half of [conf.voters, conf.outgoing]) {
        const holders = half.filter((voter: Member) => this.#holds(voter.node, group, commit, term));
        if (half.length > 0 && holders.length * 2 <= half.length)
          return `${node} took entry ${commit} of ${nameOf(group)} for committed, which is durable on ${holders.map((voter) => voter.node).join(', ') || 'no node'} only`;
      }
    }
    return null;
  }
}
