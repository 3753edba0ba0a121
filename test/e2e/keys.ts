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

/** The first `count` of `prefix0`, `prefix1`, … in these slots (`0-99,200`). */
export const keysInSlots = (slots: string, prefix: string, count: number): string[] =>
  namesIn(slotsOf(slots), count, (i) => `${prefix}${i}`);

/** The first `count` of `prefix0`, `prefix1`, … that the shard owns now. */
export const keysOfShard = (cluster: LocalCluster, shard: string, prefix: string, count: number): Promise<string[]> =>
  ownedNames(cluster, shard, count, (i) => `${prefix}${i}`);

/** The first `count` hash tags `{prefix0}`, `{prefix1}`, … whose slots the shard owns now. */
export const tagsOfShard = (cluster: LocalCluster, shard: string, prefix: string, count: number): Promise<string[]> =>
  ownedNames(cluster, shard, count, (i) => `{${prefix}${i}}`);

async function ownedNames(
  cluster: LocalCluster,
  shard: string,
  count: number,
  nameOf: (i: number) => string,
): Promise<string[]> {
  const owned = (await cluster.map()).shards.find((each) => each.id === shard);
  if (owned === undefined) throw new Error(`no shard ${shard}`);
  return namesIn(slotsOf(owned.slots), count, nameOf);
}

function namesIn(slots: ReadonlySet<number>, count: number, nameOf: (i: number) => string): string[] {
  const names: string[] = [];
  for (let i = 0; names.length < count; i++) {
    const name = nameOf(i);
    if (slots.has(slotOfKey(Buffer.from(name)))) names.push(name);
  }
  return names;
}
