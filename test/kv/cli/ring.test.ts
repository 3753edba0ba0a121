/** `map --ring`: what a person reads from the picture. */
import { stripVTControlCharacters } from 'node:util';
import pc from 'picocolors';
import { describe, expect, test } from 'vitest';
import { renderRing } from '../../../src/kv/cli/ring-report.js';
import { cellOwners } from '../../../src/kv/cli/slot-bar.js';
import { slotRanges } from '../../../src/kv/cli/slot-text.js';
import { against, json } from './run-cli.js';

const map = (shards: readonly (readonly [slots: string, members: readonly string[]])[]) => ({
  cluster_id: 'c0ffee',
  epoch: 4,
  shards: shards.map(([slots, members], i) => ({ id: `s${i + 1}`, slots, members })),
  nodes: ['n1', 'n2', 'n3'].map((id) => ({ id, http: 'h:1', peer: 'h:2', labels: {} })),
});

const MAP = map([
  ['0-8191', ['n1', 'n2', 'n3']],
  ['8192-12287', ['n1', 'n2']],
  ['12288-16383', ['n2', 'n3']],
]);
const CLUSTER = {
  ...MAP,
  health: 'well',
  shards: [
    { id: 's1', leader: 'n2' },
    { id: 's2', leader: 'n2' },
    { id: 's3', leader: null },
  ],
};

const PICTURE = `cluster c0ffee  epoch 4  (a cell is 256 slots, * leads)

${'A'.repeat(32)}${'B'.repeat(16)}${'C'.repeat(16)}
0               4096            8192            12288

   SHARD  SLOTS   SHARE  MEMBERS
A  s1      8192  50.0 %  n1, n2*, n3
B  s2      4096  25.0 %  n1, n2*
C  s3      4096  25.0 %  n2, n3

NODE  REPLICAS  LEADS  SHARDS
n1           2      0  s1 s2
n2           3      2  s1* s2* s3
n3           2      0  s1 s3

slots a shard: 4096 to 8192; replicas a node: 2 to 3; leaders a node: 0 to 2
`;

describe('map --ring', () => {
  const reply = (one: { readonly target: string }) =>
    json(200, one.target.startsWith('/v1/cluster/map') ? MAP : CLUSTER);

  test('slots, shards and nodes, in plain text', async () => {
    const { exit, out } = await against(reply, ['map', '--ring']);
    expect([exit, out]).toEqual([0, PICTURE]);
  });

  test('of an earlier epoch nobody knows the leaders', async () => {
    const { out, seen } = await against(reply, ['map', '--ring', '--epoch', '4']);
    expect(seen.map(({ target }) => target)).toEqual(['/v1/cluster/map?epoch=4']);
    expect(out).not.toContain('*');
    expect(out).toMatch(/^n1 +2 +- +s1 s2$/m);
    expect(out).toMatch(/^slots a shard: 4096 to 8192; replicas a node: 2 to 3$/m);
  });

  test('json is the map, with the flag or without', async () => {
    const { out, seen } = await against(reply, ['map', '--ring', '-o', 'json']);
    expect([JSON.parse(out), seen.length]).toEqual([MAP, 1]);
  });

  test('colours add nothing to what is there', async () => {
    const coloured = await renderRing(pc.createColors(true), MAP, new Map([['s1', 'n2']]));
    const plain = await renderRing(pc.createColors(false), MAP, new Map([['s1', 'n2']]));
    expect(coloured).not.toBe(plain);
    expect(stripVTControlCharacters(coloured)).toBe(plain);
  });
});

describe('the bar', () => {
  const letters = (...slots: string[]) =>
    cellOwners(slots.map(slotRanges))
      .map((owner) => owner ?? '.')
      .join('');

  test('a cell is of the shard that has most of it; of nobody where nobody has any', () => {
    expect(letters('')).toBe('.'.repeat(64));
    expect(letters('0-99', '100-255')).toBe(`1${'.'.repeat(63)}`);
    expect(letters('0-16383')).toBe('0'.repeat(64));
    expect(letters('16383')).toBe(`${'.'.repeat(63)}0`);
    // Scattered slots are added up.
    expect(letters('0-49,200-249', '50-140')).toBe(`0${'.'.repeat(63)}`);
  });

  test('more shards than letters are still drawn', async () => {
    const many = map(Array.from({ length: 64 }, (_, i) => [`${i * 256}-${i * 256 + 255}`, ['n1']] as const));
    const [bar] = (await renderRing(pc.createColors(false), many, null)).split('\n').slice(2);
    expect(bar).toMatch(/^[A-Za-z0-9]{64}$/);
    expect(bar?.endsWith('9AB')).toBe(true);
  });
});
