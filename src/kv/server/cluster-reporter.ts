/**
 * The cluster as it is now, put together from what each node says of its own replicas when it is asked. A node that does
 * not answer in time is shown as what it was last heard of; nothing here waits for it longer than the deadline.
 */
import { z } from 'zod';
import type { Clock, GroupId, NodeId, Replica, ReplicaHost } from '../../raft/index.js';
import {
  countSlots,
  formatSlots,
  type PlanState,
  type ShardEntry,
  type ShardMap,
  shardName,
} from '../../shardctrl/index.js';
import type { KvStateMachine } from '../store/index.js';
import type { BalanceLine, ClusterView } from './api.js';
import type { BalanceService } from './balance-service.js';
import { balanceLine, roundedRate } from './balance-view.js';
import { CONTROLLER, type ControllerCaller } from './controller-caller.js';
import type { HelloService } from './hello.js';
import { callJson, handleJson } from './json-rpc.js';
import type { LoadMeter } from './load-meter.js';
import type { MapKeeper } from './map-keeper.js';
import { anyDown, missingReplicas } from './missing-replicas.js';
import { nodeView } from './node-view.js';
import { Method, type Rpc } from './rpc.js';

const balanceSchema: z.ZodType<BalanceLine> = z.object({
  auto: z.boolean(),
  state: z.enum(['balanced', 'watching', 'unbalanced', 'stuck', 'unknown']),
  detail: z.string(),
});

const replicaSchema = z.object({
  group: z.number(),
  role: z.string(),
  term: z.number(),
  applied: z.number(),
  last: z.number(),
  leader: z.string().nullable(),
  state: z.enum(['ok', 'damaged', 'snapshot']),
  keys: z.number().nullable(),
  bytes: z.number().nullable(),
  /** Requests a second that this replica carries out; nodes of earlier builds do not say. */
  reads_per_s: z.number().default(0),
  writes_per_s: z.number().default(0),
  /** Of the controller's leader. */
  balance: balanceSchema.nullable().default(null),
});
type ReplicaReport = z.infer<typeof replicaSchema>;
const reportSchema = z.array(replicaSchema);
type NodeReport = readonly ReplicaReport[];

/** A report that takes longer is left out; the rest is shown. */
const ASK_MS = 1_000;

export interface ClusterReporterOptions {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly host: ReplicaHost;
  readonly controller: Pick<ControllerCaller, 'plan' | 'members'>;
  readonly hello: HelloService;
  readonly rpc: Rpc;
  readonly maps: Pick<MapKeeper, 'shard'>;
  readonly meter: Pick<LoadMeter, 'sum'>;
  readonly balance: Pick<BalanceService, 'last'>;
  readonly controllerNodes: () => readonly NodeId[];
  readonly failed: (error: unknown) => void;
}

type ShardView = ClusterView['shards'][number];
type MemberView = ShardView['members'][number];

export class ClusterReporter {
  readonly #options: ClusterReporterOptions;

  constructor(options: ClusterReporterOptions) {
    this.#options = options;
    handleJson(options.rpc, Method.NodeReport, z.object({}), async () => this.#own(), options.failed);
  }

  #own(): NodeReport {
    const { host } = this.#options;
    return host.groups().flatMap((group) => {
      const replica = host.get(group);
      return replica === undefined ? [] : [{ ...reportOf(group, replica), ...this.#loadOf(group, replica) }];
    });
  }

  #loadOf(group: GroupId, replica: Replica): Pick<ReplicaReport, 'reads_per_s' | 'writes_per_s' | 'balance'> {
    const { maps, meter, balance } = this.#options;
    const standing = group === CONTROLLER && replica.leads ? balance.last : null;
    const { reads, writes } = meter.sum(maps.shard(group)?.slots ?? []);
    return {
      reads_per_s: reads,
      writes_per_s: writes,
      balance: standing === null ? null : balanceLine(standing),
    };
  }

  async report(map: ShardMap, timeout_ms: number): Promise<ClusterView> {
    const { self, rpc, hello, controller } = this.#options;
    const ask_ms = Math.max(1, Math.min(ASK_MS, timeout_ms - 100));
    const reports = new Map<NodeId, NodeReport>();
    const asked = controller.plan(null, ask_ms);
    const missing = anyDown(map, hello, self);
    const wanted = missing ? controller.members(ask_ms) : null;
    await Promise.all(
      map.nodes.map(async ({ id }) => {
        if (id === self) {
          reports.set(id, this.#own());
          return;
        }
        if (hello.state(id) === 'down') return;
        const called = await callJson(rpc, id, Method.NodeReport, {}, reportSchema, ask_ms);
        if (called.kind === 'answer') reports.set(id, called.value);
      }),
    );
    const plan = (await asked)?.plan ?? null;
    const shards = map.shards.map((shard) => this.#shard(shard, reports, plan));
    const { balance, ...controllerView } = this.#controller(reports);
    return {
      cluster_id: map.clusterId,
      epoch: map.epoch,
      health: healthOf(map, shards, this.#nodeStates(map), controllerView.leader),
      nodes: map.nodes.map((node) => nodeView(node, map, hello, self)),
      shards,
      controller: controllerView,
      balance,
      missing_replicas: missing ? missingReplicas(map, await wanted, plan, hello, self) : [],
    };
  }

  #nodeStates(map: ShardMap): ReadonlyMap<NodeId, string> {
    const { self, hello } = this.#options;
    return new Map(map.nodes.map((node) => [node.id, nodeView(node, map, hello, self).state]));
  }

  #shard(shard: ShardEntry, reports: ReadonlyMap<NodeId, NodeReport>, plan: PlanState | null): ShardView {
    const of = (node: NodeId): ReplicaReport | undefined =>
      reports.get(node)?.find((report) => report.group === shard.id);
    const all = [...shard.members, ...shard.joining];
    const said = all.map((member) => ({ node: member.node, report: of(member.node) }));
    const leading = said
      .filter(({ report }) => report?.role === 'leader')
      .sort((a, b) => b.report!.term - a.report!.term)[0];
    const last = leading?.report?.last ?? null;
    const members = said.map(({ node, report }) => memberView(node, report, last));
    const up = members.slice(0, shard.members.length).filter((member) => member.state === 'ok').length;
    return {
      id: shardName(shard.id),
      state: stateOf(shard, leading !== undefined, up, plan),
      slots: formatSlots(shard.slots),
      slot_count: countSlots(shard.slots),
      members,
      leader: leading?.node ?? null,
      term: leading?.report?.term ?? null,
      keys: leading?.report?.keys ?? null,
      bytes: leading?.report?.bytes ?? null,
      weight: shard.weight,
      // Followers serve reads as well.
      reads_per_s: leading === undefined ? null : sumOf(said, 'reads_per_s'),
      writes_per_s: leading === undefined ? null : sumOf(said, 'writes_per_s'),
    };
  }

  #controller(
    reports: ReadonlyMap<NodeId, NodeReport>,
  ): ClusterView['controller'] & { readonly balance: BalanceLine | null } {
    let leader: NodeId | null = null;
    let term: number | null = null;
    let balance: BalanceLine | null = null;
    for (const [node, report] of reports) {
      const own = report.find(({ group, role }) => group === CONTROLLER && role === 'leader');
      if (own !== undefined && own.term > (term ?? -1)) [leader, term, balance] = [node, own.term, own.balance];
    }
    return { leader, term, members: this.#options.controllerNodes(), balance };
  }
}

function reportOf(group: GroupId, replica: Replica): Omit<ReplicaReport, 'reads_per_s' | 'writes_per_s' | 'balance'> {
  const status = replica.status();
  const totals = group !== CONTROLLER && replica.leads ? (replica.machine as KvStateMachine).totals() : null;
  return {
    group,
    role: status.role === 'pre_candidate' ? 'candidate' : status.role,
    term: status.term,
    applied: status.applied,
    last: status.lastIndex,
    leader: replica.leaderNode,
    state: replica.damage !== null ? 'damaged' : replica.snapshotIncoming ? 'snapshot' : 'ok',
    keys: totals?.keys ?? null,
    bytes: totals?.bytes ?? null,
  };
}

/** A shard that a plan makes or retires is told so as long as nothing worse can be said. */
function stateOf(shard: ShardEntry, led: boolean, up: number, plan: PlanState | null): string {
  const running = plan !== null && (plan.status === 'running' || plan.status === 'paused');
  const made = running && plan.newShards.some(({ id }) => id === shard.id) && shard.slots.length === 0;
  if (!led) return made ? 'creating' : 'no_leader';
  if (up < shard.members.length) return 'degraded';
  if (made) return 'creating';
  return running && plan.retiring.includes(shard.id) ? 'retiring' : 'ok';
}

type LoadField = 'reads_per_s' | 'writes_per_s';

function sumOf(said: readonly { readonly report: ReplicaReport | undefined }[], field: LoadField): number {
  return roundedRate(said.reduce((sum, { report }) => sum + (report?.[field] ?? 0), 0));
}

function memberView(node: NodeId, report: ReplicaReport | undefined, last: number | null): MemberView {
  if (report === undefined) return { node, role: 'unknown', applied: null, lag: null, state: 'down' };
  const lag = last === null ? null : Math.max(0, last - report.applied);
  return { node, role: report.role, applied: report.applied, lag, state: report.state };
}

/** One sentence for a person. */
function healthOf(
  map: ShardMap,
  shards: readonly ShardView[],
  nodes: ReadonlyMap<NodeId, string>,
  controllerLeader: NodeId | null,
): string {
  const away = [...nodes].filter(([, state]) => state !== 'healthy').map(([node, state]) => `${node} is ${state}`);
  const without = shards.filter((shard) => shard.state === 'no_leader').map((shard) => shard.id);
  const degraded = shards.filter((shard) => shard.state === 'degraded').map((shard) => shard.id);
  const small = map.shards.filter((shard) => shard.members.length === 2).map((shard) => shardName(shard.id));
  const parts: string[] = [];
  if (without.length > 0)
    parts.push(`${without.join(', ')} ${without.length === 1 ? 'has' : 'have'} no leader and cannot serve`);
  if (degraded.length > 0)
    parts.push(
      `${degraded.join(', ')} ${degraded.length === 1 ? 'lacks' : 'lack'} a replica but ${degraded.length === 1 ? 'serves' : 'serve'}`,
    );
  if (controllerLeader === null) parts.push('the controller has no leader: keys are served, the map cannot change');
  parts.push(...away);
  if (small.length > 0)
    parts.push(
      `${small.join(', ')} ${small.length === 1 ? 'has' : 'have'} two replicas: no writes as soon as one node is away`,
    );
  if (parts.length === 0) {
    const serving = shards.length === 1 ? 'the only shard serves' : `all ${shards.length} shards serve`;
    return `${serving} on ${nodes.size} healthy nodes`;
  }
  return parts.join('; ');
}
