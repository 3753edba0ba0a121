/** What a leader takes for committed is durable on a majority of the voters, of both halves of a joint configuration (F32). */
import { type ConfState, index, type Member, type Replica } from '../../../src/raft/index.js';
import { type ClusterState, type Invariant, nameOf } from './invariant.js';

/** By node: does its disk hold this entry? */
export type Holds = (node: string, group: number, index: number, term: number) => boolean;

/** Who holds it of a half that lacks a majority; null: no half does. */
function tooFew({ voters, outgoing }: ConfState, holds: (member: Member) => boolean): readonly string[] | null {
  for (const half of [voters, outgoing]) {
    const holders = half.filter(holds);
    if (half.length > 0 && holders.length * 2 <= half.length) return holders.map((member) => member.node);
  }
  return null;
}

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
      const { conf } = replica.status();
      const before = this.#confs.get(replica) ?? conf;
      this.#confs.set(replica, conf);
      const holds = ({ node: at }: Member): boolean => this.#holds(at, group, commit, term);
      const few = tooFew(conf, holds);
      if (few === null || tooFew(before, holds) === null) continue;
      return `${node} took entry ${commit} of ${nameOf(group)} for committed, which is durable on ${few.join(', ') || 'no node'} only`;
    }
    return null;
  }
}
