import { describe, expect, it } from 'vitest';
import { Places } from '../../src/shardctrl/places.js';
import { MemoryController } from './memory-controller.js';

describe('places for batches', () => {
  it('are so many in all, and so many on any one node', async () => {
    const { map } = await MemoryController.cluster(6, 4, 2);
    const nodesOf = (id: number): string[] =>
      map.shards.find((shard) => shard.id === id)!.members.map(({ node }) => node);
    const apart = map.shards.map(({ id }) => id).filter((id) => !nodesOf(id).some((node) => nodesOf(1).includes(node)));
    const other = apart[0]!;
    const places = new Places(map, { inAll: 3, perNode: 1 });
    places.take({ from: 1, to: 1 });
    expect(places.hasFor({ from: 1, to: other })).toBe(false);
    expect(places.hasFor({ from: other, to: 1 })).toBe(false);
    expect(places.hasFor({ from: other, to: other })).toBe(true);
    places.take({ from: other, to: other });
    expect(places.hasFor({ from: other, to: other })).toBe(false);
  });

  it('are gone when as many are busy as may be', async () => {
    const { map } = await MemoryController.cluster(3, 2);
    const places = new Places(map, { inAll: 2, perNode: 10 });
    for (let i = 0; i < 2; i++) {
      expect(places.hasFor({ from: 1, to: 2 })).toBe(true);
      places.take({ from: 1, to: 2 });
    }
    expect(places.hasFor({ from: 1, to: 2 })).toBe(false);
  });
});
