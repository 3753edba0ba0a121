/**
 * Reshards of a real cluster as a test follows them: started, watched to the end, and judged by the maps of all epochs
 * in between.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  type MapView,
  type PlanAction,
  type PlanView,
  QuorateClient,
  QuorateError,
} from '../../src/kv/client/index.js';
import { SLOT_COUNT } from '../../src/shardctrl/index.js';
import { slotsOf } from './keys.js';
import { type LocalCluster, until } from './local-cluster.js';

const STEP_MS = 60_000;

/** Asks any node that answers; survives the death of any of them. */
async function asked(cluster: LocalCluster, ask: (client: QuorateClient) => Promise<PlanView>): Promise<PlanView> {
  const client = new QuorateClient({ endpoints: cluster.running.map((node) => node.http) });
  try {
    return await ask(client);
  } finally {
    client.close();
  }
}

export const startReshard = (cluster: LocalCluster, shards: number): Promise<PlanView> =>
  asked(cluster, (client) => client.reshard({ shards }));

/** `slots`: `0-99,200`; `to`: `s2`. */
export const startMove = (cluster: LocalCluster, slots: string, to: string): Promise<PlanView> =>
  asked(cluster, (client) => client.move({ slots, to }));

/** null: the plan was over before. */
export async function steerPlan(cluster: LocalCluster, id: string, action: PlanAction): Promise<PlanView | null> {
  try {
    return await asked(cluster, (client) => client.planAction(id, action));
  } catch (error) {
    if (error instanceof QuorateError && error.code === 'conflict') return null;
    throw error;
  }
}

export async function planOf(cluster: LocalCluster, id: string): Promise<PlanView | null> {
  for (const node of cluster.running) {
    const answer = await fetch(`${node.http}/v1/admin/reshard/${id}`, { signal: AbortSignal.timeout(2_000) }).catch(
      () => null,
    );
    if (answer?.ok === true) return (await answer.json()) as PlanView;
  }
  return null;
}

/** Resolves when nothing more will happen to the plan, whatever became of it. */
export const planEnd = (cluster: LocalCluster, id: string): Promise<PlanView> =>
  until(`plan ${id} to end`, STEP_MS, async () => {
    const plan = await planOf(cluster, id);
    return plan !== null && plan.state !== 'running' && plan.state !== 'planned' ? plan : null;
  });

/** Resolves when some slots of the plan have arrived, but not all; false where it ended too soon for that. */
export async function untilMidway(cluster: LocalCluster, before: MapView, id: string): Promise<boolean> {
  return until(`plan ${id} to be midway`, STEP_MS, async () => {
    const plan = await planOf(cluster, id);
    if (plan?.state === 'done') return { midway: false };
    return (await cluster.map()).epoch > before.epoch + 1 ? { midway: true } : null;
  }).then(({ midway }) => midway);
}

/** Owner of each slot; '' where none or more than one has it. */
export function ownersOf(map: MapView): readonly string[] {
  const owners: string[] = new Array(SLOT_COUNT).fill('');
  const counts = new Uint8Array(SLOT_COUNT);
  for (const shard of map.shards) {
    for (const slot of slotsOf(shard.slots)) {
      counts[slot]!++;
      owners[slot] = counts[slot] === 1 ? shard.id : '';
    }
  }
  return owners;
}

/** How a reshard went from map to map; all zero but `moved` and `epochs` where it was as it must be. */
export interface Course {
  /** Slots that had no owner, or two, in some epoch. */
  readonly ownerless: number;
  /** Slots whose owner changed more than once. */
  readonly movedTwice: number;
  /** Slots that went from one shard that stays to another. */
  readonly needless: number;
  /** Slots that moved beyond the least number that the new shares demand. */
  readonly beyondLeast: number;
  /** Largest difference between two shards' shares in the end, beyond one. */
  readonly uneven: number;
}

export const FLAWLESS: Course = { ownerless: 0, movedTwice: 0, needless: 0, beyondLeast: 0, uneven: 0 };

const sharesOf = (owners: readonly string[]): Map<string, number> => {
  const shares = new Map<string, number>();
  for (const owner of owners) shares.set(owner, (shares.get(owner) ?? 0) + 1);
  return shares;
};

export async function courseBetween(cluster: LocalCluster, from: MapView, to: MapView): Promise<Course> {
  const first = ownersOf(from);
  const changes = new Uint8Array(SLOT_COUNT);
  const ownerless = new Set<number>();
  let owners = first;
  for (let epoch = from.epoch + 1; epoch <= to.epoch; epoch++) {
    const next = ownersOf(await cluster.map(epoch));
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (next[slot] === '') ownerless.add(slot);
      if (next[slot] !== owners[slot]) changes[slot]!++;
    }
    owners = next;
  }
  const staying = new Set(from.shards.map(({ id }) => id).filter((id) => to.shards.some((shard) => shard.id === id)));
  const moved = first.map((owner, slot) => [owner, owners[slot]!] as const).filter(([a, b]) => a !== b);
  const before = sharesOf(first);
  const after = sharesOf(owners);
  const least = [...before].reduce((sum, [id, share]) => sum + Math.max(0, share - (after.get(id) ?? 0)), 0);
  const shares = to.shards.map(({ id }) => after.get(id) ?? 0);
  return {
    ownerless: ownerless.size,
    movedTwice: changes.filter((count) => count > 1).length,
    needless: moved.filter(([a, b]) => staying.has(a) && staying.has(b)).length,
    beyondLeast: moved.length - least,
    uneven: Math.max(0, Math.max(...shares) - Math.min(...shares) - 1),
  };
}

/** Shards of which a directory is left on some node's disk: `n1/s3`. The controller's own (group 0) is not one. */
export function shardsOnDisk(cluster: LocalCluster): readonly string[] {
  const found = new Set<string>();
  for (const node of cluster.nodes) {
    for (const name of readdirSync(join(node.dataDir, 'state'))) {
      const group = Number(/\d+/.exec(name)?.[0] ?? Number.NaN);
      if (group !== 0) found.add(`${node.id}/s${group}`);
    }
  }
  return [...found].sort();
}
