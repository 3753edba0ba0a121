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

/** As of the last look. */
interface Seen {
  readonly role: Replica['role'];
  readonly commit: number;
  readonly conf: ConfState;
}

export class DurableMajority implements Invariant {
  readonly name = 'committed is durable on a majority';
  readonly #holds: Holds;
  readonly #seen = new WeakMap<Replica, Seen>();

  constructor(holds: Holds) {
    this.#holds = holds;
  }

  check(state: ClusterState): string | null {
    for (const { node, group, replica } of state.changed) {
      const { role, commit, conf } = replica;
      const before = this.#seen.get(replica) ?? { role, commit: 0, conf };
      this.#seen.set(replica, { role, commit, conf });
      // What it knew as a follower others have committed, and answer for.
      if (role !== 'leader' || before.role !== 'leader' || commit <= before.commit) continue;
      const term = replica.termAt(index(commit));
      if (term === null) continue;
      const holds = ({ node: at }: Member): boolean => this.#holds(at, group, commit, term);
      const few = tooFew(conf, holds);
      // By the configuration of before the entries that were committed with it, which one of them may have ended.
      if (few === null || tooFew(before.conf, holds) === null) continue;
      return `${node} took entry ${commit} of ${nameOf(group)} for committed, which is durable on ${few.join(', ') || 'no node'} only`;
    }
    return null;
  }
}
