/** Shard maps for tests of what is decided by them: shards by their members' nodes. */
import { ALL_SLOTS, completed, type ShardMap } from '../../src/shardctrl/index.js';

export interface MapOptions {
  readonly labels?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly draining?: readonly string[];
  readonly controller?: readonly string[];
  /** How many members each shard should have. */
  readonly replicas?: number;
}

export function mapOf(
  nodes: readonly string[],
  shards: readonly (readonly string[])[],
  options: MapOptions = {},
): ShardMap {
  const members = (list: readonly string[]) => list.map((node, i) => ({ node, replica: i + 1 }));
  const map = completed({
    clusterId: 'c',
    epoch: 1,
    shards: shards.map((list, i) => ({ id: i + 1, slots: ALL_SLOTS, members: members(list) })),
    nodes: nodes.map((id) => ({ id, http: id, peer: id, labels: options.labels?.[id] ?? {}, incarnation: id })),
  });
  return {
    ...map,
    shards: map.shards.map((shard) => ({ ...shard, replicas: options.replicas ?? shard.members.length })),
    controller: { ...map.controller, ...(options.controller && { members: members(options.controller) }) },
    draining: options.draining ?? [],
  };
}
