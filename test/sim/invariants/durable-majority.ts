/** What a leader takes for committed is durable on a majority of the voters, of both halves of a joint configuration (F32). */
import { type ConfState, index, type Member, type Replica } from '../../../src/raft/index.js';
import { type ClusterState, type Invariant, nameOf } from './invariant.js';

/** By node: does its disk hold this entry? */
export type Holds = (node: string, group: number, index: number, term: number) => boolean;

const isQuorum = ({ voters, outgoing }: ConfState, holds: (member: Member) => boolean): boolean =>
  [voters, outgoing].every((half) => half.length === 0 || half.filter(holds).length * 2 > half.length);

export class DurableMajority implements Invariant {
  readonly name = 'committed is durable on a majority';
  readonly #holds: Holds;
  readonly #checked = new WeakMap<Replica, number>();
  /** As of the last look: what has been committed since may have been so by this one, which an entry among it has ended. */
  readonly #confs = new WeakMap<Replica, ConfState>();

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
      const { conf } = replica;
      const before = this.#confs.get(replica) ?? conf;
      this.#confs.set(replica, conf);
      const holds = ({ node: at }: Member): boolean => this.#holds(at, group, commit, term);
      if (isQuorum(conf, holds) || isQuorum(before, holds)) continue;
      const holders = [...conf.voters, ...conf.outgoing].filter(holds).map((voter) => voter.node);
      return `${node} took entry ${commit} of ${nameOf(group)} for committed, which is durable on ${holders.join(', ') || 'no node'} only; members are ${JSON.stringify(conf)}, were ${JSON.stringify(before)}`;
    }
    return null;
  }
}
