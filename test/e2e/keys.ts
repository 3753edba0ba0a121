/** Keys by where they live. */
import { parseSlots, slotOfKey } from '../../src/shardctrl/index.js';
import type { LocalCluster } from './local-cluster.js';

/** `prefix0`, `prefix1`, … */
export const keysNamed = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`);

export function slotsOf(text: string): ReadonlySet<number> {
  const parsed = parseSlots(text);
  if (!parsed.ok) throw new Error(`${text}: ${parsed.detail}`);
  const slots = new Set<number>();
  for (const [first, last] of parsed.slots) for (let slot = first; slot <= last; slot++) slots.add(slot);
  return slots;
}

/** The first `count` of `prefix0`, `prefix1`, … that the shard owns now. */
export async function keysOfShard(
  cluster: LocalCluster,
  shard: string,
  prefix: string,
  count: number,
): Promise<string[]> {
  const owned = (await cluster.map()).shards.find((each) => each.id === shard);
  if (owned === undefined) throw new Error(`no shard ${shard}`);
  const slots = slotsOf(owned.slots);
  const keys: string[] = [];
  for (let i = 0; keys.length < count; i++) {
    const key = `${prefix}${i}`;
    if (slots.has(slotOfKey(Buffer.from(key)))) keys.push(key);
  }
  return keys;
}

/** The first `count` hash tags `{prefix0}`, `{prefix1}`, … whose slots the shard owns now. */
export async function tagsOfShard(
  cluster: LocalCluster,
  shard: string,
  prefix: string,
  count: number,
): Promise<string[]> {
  const owned = (await cluster.map()).shards.find((each) => each.id === shard);
  if (owned === undefined) throw new Error(`no shard ${shard}`);
  const slots = slotsOf(owned.slots);
  const tags: string[] = [];
  for (let i = 0; tags.length < count; i++) {
    const tag = `{${prefix}${i}}`;
    if (slots.has(slotOfKey(Buffer.from(tag)))) tags.push(tag);
  }
  return tags;
}
