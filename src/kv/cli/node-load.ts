/** What each node carries: replicas of shards, those of them that lead, and perhaps one of the controller's. */
import type { ClusterView } from '../client/index.js';

export interface NodeLoad {
  /** Ids of shards, in the cluster's order. */
  readonly replicas: readonly string[];
  readonly leads: readonly string[];
  readonly controller: boolean;
}

type Parts = Pick<ClusterView, 'shards' | 'controller'>;

export function loadOf(node: string, { shards, controller }: Parts): NodeLoad {
  const ids = (held: (shard: ClusterView['shards'][number]) => boolean) => shards.filter(held).map((shard) => shard.id);
  return {
    replicas: ids((shard) => shard.members.some((member) => member.node === node)),
    leads: ids((shard) => shard.leader === node),
    controller: controller.members.includes(node),
  };
}
