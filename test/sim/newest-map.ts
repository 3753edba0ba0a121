import type { ShardMap } from '../../src/shardctrl/index.js';
import type { SimNode } from './sim-node.js';

/** That any process knows; null: none knows one. */
export function newestMap(nodes: readonly Pick<SimNode, 'node'>[]): ShardMap | null {
  const maps = nodes.flatMap(({ node }) => node?.maps.map ?? []);
  return maps.length === 0 ? null : maps.reduce((newest, map) => (map.epoch > newest.epoch ? map : newest));
}
