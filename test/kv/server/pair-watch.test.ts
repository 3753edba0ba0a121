import { expect, it } from 'vitest';
import { MapKeeper } from '../../../src/kv/server/map-keeper.js';
import { PairWatch } from '../../../src/kv/server/pair-watch.js';
import { mapOf } from '../../shardctrl/map-of.js';

const FOUR = ['n1', 'n2', 'n3', 'n4'];

it('F41: a node says of each pair that it is a part of that it takes no writes without both, once for each', () => {
  const maps = new MapKeeper();
  const said: string[] = [];
  new PairWatch('n1', maps, (level, text) => said.push(`${level} ${text}`));
  let epoch = 0;
  const offer = (...shards: string[][]): string[] => {
    maps.offer({ ...mapOf(FOUR, shards), epoch: ++epoch }, []);
    return said.splice(0);
  };
  const pair = (shard: string, nodes: string): string =>
    `warn ${shard} has two replicas, on ${nodes}: it takes no writes as soon as one of them is away`;
  expect(offer(['n1', 'n2', 'n3'], ['n2', 'n3'])).toEqual([]);
  expect(offer(['n1', 'n2'], ['n2', 'n3'], ['n4', 'n1'])).toEqual([pair('s1', 'n1 and n2'), pair('s3', 'n1 and n4')]);
  // Nothing new: another leader, another map.
  expect(offer(['n2', 'n1'], ['n2', 'n3'], ['n4', 'n1'])).toEqual([]);
  expect(offer(['n1', 'n3'], ['n2', 'n3'], ['n1', 'n2', 'n4'])).toEqual([pair('s1', 'n1 and n3')]);
  expect(offer(['n1', 'n3'], ['n2', 'n3'], ['n1', 'n4'])).toEqual([pair('s3', 'n1 and n4')]);
});
