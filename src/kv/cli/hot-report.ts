/** Which slots and keys are asked for most, in tables. */
import type { HotView } from '../client/index.js';
import { type Colors, type Column, renderTable } from './output.js';
import { printable, shorten } from './text.js';

const KEY_WIDTH = 48;

const SHARDS: readonly Column[] = [
  { title: 'SHARD' },
  { title: 'READS/S', right: true },
  { title: 'WRITES/S', right: true },
  { title: 'SHARE', right: true },
];
const SLOTS: readonly Column[] = [{ title: 'SLOT', right: true }, ...SHARDS];
const KEYS: readonly Column[] = [
  { title: 'KEY' },
  { title: 'SLOT', right: true },
  { title: 'SHARD' },
  { title: 'REQ/S', right: true },
  { title: '±', right: true },
];

/** Few digits: more would say more than is known. */
const rateText = (rate: number): string => rate.toFixed(rate < 10 ? 1 : 0);
const shareText = (share: number): string => `${(share * 100).toFixed(1)} %`;

interface Load {
  readonly reads_per_s: number;
  readonly writes_per_s: number;
  readonly share: number;
}

const loadCells = ({ reads_per_s, writes_per_s, share }: Load): string[] => [
  rateText(reads_per_s),
  rateText(writes_per_s),
  shareText(share),
];

function keyText({ key, key_encoding }: HotView['keys'][number]): string {
  return shorten(printable(Buffer.from(key, key_encoding)), KEY_WIDTH);
}

export async function renderHot(colors: Colors, view: HotView): Promise<string> {
  const shards = view.shards.map((shard) => [shard.id, ...loadCells(shard)]);
  const slots = view.slots.map((slot) => [String(slot.slot), slot.shard, ...loadCells(slot)]);
  const keys = view.keys.map((key) => [
    keyText(key),
    String(key.slot),
    key.shard,
    rateText(key.requests_per_s),
    rateText(key.error_per_s),
  ]);
  const silent = [...view.silent_nodes, ...view.silent_shards.map((shard) => `the leader of ${shard}`)];
  return [
    `requests a second, of late (each counts for half after ${view.half_life_s} s)`,
    ...(silent.length === 0 ? [] : [colors.yellow(`without ${silent.join(', ')}: no answer`)]),
    '',
    await renderTable(colors, SHARDS, shards),
    ...(slots.length === 0 ? [] : ['', await renderTable(colors, SLOTS, slots)]),
    ...(keys.length === 0 ? [] : ['', await renderTable(colors, KEYS, keys)]),
  ].join('\n');
}
