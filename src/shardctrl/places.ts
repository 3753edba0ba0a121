/**
 * How many batches may be busy at once: so many in all, and so many that any one node takes part in. All members of source
 * and destination take part: each writes what arrives, and deletes what has left.
 */
import type { GroupId, NodeId } from '../raft/index.js';
import type { ShardMap } from './shard-map.js';

export interface PlaceLimits {
  readonly inAll: number;
  readonly perNode: number;
}

/** Between two shards. */
export interface Route {
  readonly from: GroupId;
  readonly to: GroupId;
}

export class Places {
  readonly #members: ReadonlyMap<GroupId, readonly NodeId[]>;
  readonly #limits: PlaceLimits;
  readonly #byNode = new Map<NodeId, number>();
  #taken = 0;

  constructor(map: ShardMap, limits: PlaceLimits) {
    this.#members = new Map(map.shards.map(({ id, members }) => [id, members.map(({ node }) => node)]));
    this.#limits = limits;
  }

  hasFor(route: Route): boolean {
    if (this.#taken >= this.#limits.inAll) return false;
    return this.#nodesOf(route).every((node) => (this.#byNode.get(node) ?? 0) < this.#limits.perNode);
  }

  take(route: Route): void {
    this.#taken++;
    for (const node of this.#nodesOf(route)) this.#byNode.set(node, (this.#byNode.get(node) ?? 0) + 1);
  }

  #nodesOf({ from, to }: Route): readonly NodeId[] {
    return [...new Set([...(this.#members.get(from) ?? []), ...(this.#members.get(to) ?? [])])];
  }
}
