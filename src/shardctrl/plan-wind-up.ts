/**
 * The end of a plan whose slots have all moved: sources give the space back, shards that own nothing any more are retired
 * and their replicas gone, and only then the plan is done. A plan that failed or was cancelled skips what is not due.
 */
import type { GroupId } from '../raft/index.js';
import type { PlanState, Tombstone } from './plan.js';
import { shardName } from './shard-map.js';
import { ShardUnavailable } from './shard-port.js';
import type { Asker, Tenure } from './tenure.js';

const NOBODY_WAITS: Asker = { stalled: () => {} };

/** Resolves when the plan is over, or when it turned out that it is not due yet. */
export async function windUp(tenure: Tenure, plan: PlanState): Promise<void> {
  await reclaim(tenure, plan);
  const warnings: string[] = [];
  for (const shard of plan.retiring) {
    if (tenure.windingUp(plan.id)) break;
    const result = await tenure.propose({ kind: 'shard_retired', shard });
    if (result.kind !== 'ok') {
      tenure.event('error', `${shardName(shard)} could not be retired`, { plan: plan.id, result });
      return tenure.sleep(tenure.settings.backOffLast_ms);
    }
    warnings.push(...(await untilRemoved(tenure, plan, shard)));
  }
  const result = await tenure.propose({ kind: 'plan_finished', plan: plan.id, warnings });
  if (result.kind === 'ok') {
    tenure.event('info', 'a plan has ended', { plan: plan.id, status: plan.ending?.outcome ?? 'done' });
  } else {
    await tenure.sleep(tenure.settings.backOffLast_ms);
  }
}

/** One source after the other: it is work for disks that also serve. Retiring shards lose their files as a whole. */
async function reclaim(tenure: Tenure, plan: PlanState): Promise<void> {
  const sources = new Set(plan.moves.filter((move) => move.moved.length > 0).map((move) => move.from));
  const patience = { until_ms: null, enough: () => tenure.windingUp(plan.id) };
  for (const shard of sources) {
    if (plan.retiring.includes(shard)) continue;
    const call = async (timeout_ms: number): Promise<true> => {
      await tenure.shards.reclaim(shard, timeout_ms);
      return true;
    };
    await tenure.ask(NOBODY_WAITS, call, patience, tenure.settings.reclaim_timeout_ms);
  }
}

/** Warnings, where nodes that are away will have to do it later. */
async function untilRemoved(tenure: Tenure, plan: PlanState, shard: GroupId): Promise<string[]> {
  const tombstone = tenure.controller.state().tombstones().get(shard);
  if (tombstone === undefined) throw new Error(`invariant: ${shardName(shard)} is retired and has no tombstone`);
  const until_ms = tenure.clock.monotonic_ms() + tenure.settings.removalPatience_ms;
  while (!(await isRemoved(tenure, tombstone))) {
    if (tenure.windingUp(plan.id)) return [];
    if (tenure.clock.monotonic_ms() >= until_ms) {
      const nodes = tombstone.members.map((member) => member.node).join(', ');
      const waited = `${tenure.settings.removalPatience_ms / 1000} s`;
      return [
        `not all of ${nodes} have confirmed within ${waited} that the data of ${shardName(shard)} is gone; those that are away remove it when they come back`,
      ];
    }
    await tenure.sleep(tenure.settings.purgePoll_ms * 4);
  }
  return [];
}

async function isRemoved(tenure: Tenure, tombstone: Tombstone): Promise<boolean> {
  try {
    const { shard, members } = tombstone;
    return await tenure.shards.removed(shard, members, tenure.settings.call_timeout_ms);
  } catch (error) {
    if (error instanceof ShardUnavailable) return false;
    throw error;
  } finally {
    tenure.check();
  }
}
