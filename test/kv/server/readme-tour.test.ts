/** The README's reshards, from top to bottom as a reader types them, on the cluster that `npm start` makes. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { ReshardRequest } from '../../../src/kv/server/api.js';
import { granted, SimCluster } from './sim-cluster.js';

const README = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
const lines = [...README.matchAll(/^npx quorate reshard (--shards .*)$/gm)].map((match) => match[1]!);

function requestOf(line: string): ReshardRequest {
  const flag = (name: string): string | undefined => new RegExp(`--${name} (\\S+)`).exec(line)?.[1];
  const [by, weight, shard, node, replicas] = ['by', 'weight', 'exclude-shard', 'exclude-node', 'replicas'].map(flag);
  const [name = '', value] = weight?.split('=') ?? [];
  return {
    shards: Number(flag('shards')),
    dry_run: line.includes('--dry-run'),
    ...(by === undefined ? {} : { by: by as 'bytes' }),
    ...(weight === undefined ? {} : { weights: { [name]: Number(value) } }),
    ...(shard === undefined ? {} : { exclude_shards: [shard] }),
    ...(node === undefined ? {} : { exclude_nodes: [node] }),
    ...(replicas === undefined ? {} : { replicas: Number(replicas) }),
  };
}

it('each can be carried out where it stands', async () => {
  expect(lines.length).toBeGreaterThanOrEqual(5);
  const cluster = await SimCluster.healthy({ nodes: 3, shards: 2 });
  for (let i = 1; i <= 5; i++) await cluster.put('n1', `items/${i}`, `value ${i}`);
  for (const line of lines) {
    const plan = granted(await cluster.settle(cluster.node('n1').admin.reshard(requestOf(line), 8_000)));
    expect([line, plan.moves.length > 0]).toEqual([line, true]);
    await cluster.planOver();
    await cluster.untilHealthy();
  }
  expect(cluster.controller().map()?.shards).toHaveLength(1);
});
