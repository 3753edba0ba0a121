/** What the controller says for the verification of a plan: the plan, what came later, and how the map is now. */
import type {
  ControllerStateMachine,
  LaterPlan,
  PlanId,
  PlanState,
  ShardMap,
  ShardMember,
} from '../../../shardctrl/index.js';

export interface PlanAudit {
  readonly plan: PlanState | null;
  /** The plan that is under way, whichever it is. */
  readonly running: PlanId | null;
  /** The one that began last. */
  readonly latest: PlanId | null;
  readonly later: readonly LaterPlan[];
  /** null: the cluster is being made. */
  readonly map: ShardMap | null;
  /** Shards that are gone, and on which nodes they were. */
  readonly retired: readonly { readonly shard: number; readonly members: readonly ShardMember[] }[];
}

export function auditOf(machine: ControllerStateMachine, id: PlanId): PlanAudit {
  return {
    plan: machine.plan(id),
    running: machine.runningPlan()?.id ?? null,
    latest: machine.latestPlan()?.id ?? null,
    later: machine.laterPlans(id),
    map: machine.map(),
    retired: [...machine.tombstones().values()].map(({ shard, members }) => ({ shard, members })),
  };
}
