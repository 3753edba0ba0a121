/**
 * Who has left a group is needed until a majority of those who stay know for good that they are the members (F18): members that
 * restart may be back under the configuration before, and have to ask those who have left for their votes.
 */
import type { ConfState, Replica } from '../../../src/raft/index.js';
import { type ClusterState, type Invariant, isWhole, nameOf } from './invariant.js';

/** A node's disk says, or said until it was lost, that this entry of the group was committed. */
export type Knows = (node: string, group: number, index: number) => boolean;

interface Configuration {
  /** By the earliest word of it: after a restart a replica names a later entry for the configuration that it has. */
  readonly since: number;
  readonly voters: ConfState['voters'];
}

export class SettledMembers implements Invariant {
  readonly name = 'who has left a group is needed no more';
  readonly #knows: Knows;
  readonly #newest = new Map<number, Configuration>();
  readonly #seen = new WeakMap<Replica, number>();

  constructor(knows: Knows) {
    this.#knows = knows;
  }

  /** Only takes note: whoever lets members go asks for `missing`. */
  check({ changed }: ClusterState): null {
    for (const { group, replica } of changed) {
      const { conf, confIndex: since } = replica;
      if (this.#seen.get(replica) === since || !isWhole(replica)) continue;
      this.#seen.set(replica, since);
      const known = this.#newest.get(group);
      if (conf.outgoing.length > 0 || (known !== undefined && known.since >= since)) continue;
      if (known !== undefined && JSON.stringify(known.voters) === JSON.stringify(conf.voters)) continue;
      this.#newest.set(group, { since, voters: conf.voters });
    }
    return null;
  }

  /** What is missing until the group needs nobody who has left it; null: nothing. */
  missing(group: number): string | null {
    const { since, voters } = this.#newest.get(group) ?? { since: 0, voters: [] };
    const know = voters.filter(({ node }) => this.#knows(node, group, since));
    if (2 * know.length > voters.length) return null;
    const names = JSON.stringify(voters);
    return `of the members of ${nameOf(group)}, ${names}, only ${know.map(({ node }) => node)} know for good that they are, since entry ${since}`;
  }
}
