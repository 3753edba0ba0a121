/**
 * The end of a plan whose slots have all moved: sources give the space back, shards that own nothing any more are retired
 * and their replicas gone, and only then the plan is done. A plan that failed or was cancelled skips what is not due.
 */
import { WARNINGS_MAX } from './commands.js';
import type { PlanState, Tombstone } from './plan.js';
import { shardName } from './shard-map.js';
import type { Remains } from './shard-port.js';
import type { Asker, Tenure } from './tenure.js';

const NOBODY_WAITS: Asker = { stalled: () => {} };

/** Resolves when the plan is over, or when it turned out that it is not due yet. */
export async function windUp(tenure: Tenure, plan: PlanState): Promise<void> {
  await reclaim(tenure, plan);
  if (!(await retire(tenure, plan))) return tenure.sleep(tenure.settings.backOffLast_ms);
  const warnings = await untilRemoved(tenure, plan);
  const result = await tenure.propose({ kind: 'plan_finished', plan: plan.id, warnings });
  if (result.kind === 'ok') {
    tenure.event('info', 'a plan has ended', { plan: plan.id, status: plan.ending?.outcome ?? 'done' });
  } else {
    await tenure.sleep(tenure.settings.backOffLast_ms);
  }
}

/**
 * One source after the other: it is work for disks that also serve. Retiring shards lose their files as a whole. The run has the
 * plan's name: a big shard takes longer than one question, and the next one, also of the next leader, is about the same work.
 */
async function reclaim(tenure: Tenure, plan: PlanState): Promise<void> {
  const sources = new Set(plan.moves.filter((move) => move.moved.length > 0).map((move) => move.from));
  const patience = { until_ms: null, enough: () => tenure.windingUp(plan.id) };
  for (const shard of sources) {
    if (plan.retiring.includes(shard)) continue;
    const call = async (timeout_ms: number): Promise<true> => {
      await tenure.shards.reclaim(shard, plan.id, timeout_ms);
      return true;
    };
    await tenure.ask(NOBODY_WAITS, call, patience, tenure.settings.reclaim_timeout_ms);
  }
}

/** False where a shard could not be retired. */
async function retire(tenure: Tenure, plan: PlanState): Promise<boolean> {
  for (const shard of plan.retiring) {
    if (tenure.windingUp(plan.id)) break;
    const result = await tenure.propose({ kind: 'shard_retired', shard });
    if (result.kind !== 'ok') {
      tenure.event('error', `${shardName(shard)} could not be retired`, { plan: plan.id, result });
      return false;
    }
  }
  return true;
}

/** Until nothing is left of the retired shards, or patience has run out. Warnings, where nodes will have to do it later. */
async function untilRemoved(tenure: Tenure, plan: PlanState): Promise<readonly string[]> {
  const { removalPatience_ms, silencePatience_ms, purgePoll_ms } = tenure.settings;
  const begun_ms = tenure.clock.monotonic_ms();
  let left = retiredOf(tenure, plan);
  for (;;) {
    left = await stillThere(tenure, left);
    if (left.length === 0 || tenure.windingUp(plan.id)) return [];
    const waited_ms = tenure.clock.monotonic_ms() - begun_ms;
    const patience_ms = left.some(({ hosting }) => hosting.length > 0) ? removalPatience_ms : silencePatience_ms;
    if (waited_ms >= patience_ms) return warningsOf(left, waited_ms);
    await tenure.sleep(purgePoll_ms * 4);
  }
}

interface Retired extends Tombstone, Remains {}

function retiredOf(tenure: Tenure, plan: PlanState): readonly Retired[] {
  return plan.retiring.flatMap((shard) => {
    const tombstone = tenure.controller.state().tombstones().get(shard);
    return tombstone === undefined ? [] : [{ ...tombstone, hosting: [], silent: [] }];
  });
}

async function stillThere(tenure: Tenure, shards: readonly Retired[]): Promise<readonly Retired[]> {
  const { call_timeout_ms } = tenure.settings;
  const asked = await Promise.all(
    shards.map(async (retired): Promise<Retired> => {
      const remains = await tenure.shards.remains(retired.shard, retired.members, call_timeout_ms);
      return { ...retired, ...remains };
    }),
  );
  tenure.check();
  return asked.filter(({ hosting, silent }) => hosting.length + silent.length > 0);
}

/** As many as a plan keeps: a thousand shards may be retired at once. */
function warningsOf(left: readonly Retired[], waited_ms: number): readonly string[] {
  const warnings = left.map((shard) => warningOf(shard, waited_ms));
  if (warnings.length <= WARNINGS_MAX) return warnings;
  const told = warnings.slice(0, WARNINGS_MAX - 1);
  return [...told, `the same of ${warnings.length - told.length} more shards`];
}

function warningOf({ shard, hosting, silent }: Retired, waited_ms: number): string {
  const nodes = [...hosting, ...silent].join(', ');
  const waited = `${Math.round(waited_ms / 1000)} s`;
  return `not confirmed within ${waited} by ${nodes}: that the data of ${shardName(shard)} is gone; nodes that are away remove it when they come back`;
}
