/**
 * What operators ask: the cluster as it is, the map as it is or was, where a key lives, and plans. Answers have the JSON
 * shapes of http-api.md; whoever is asked gathers what other nodes know.
 */
import type { Clock, NodeId, ReplicaHost, Transport } from '../../raft/index.js';
import {
  type ControllerCommand,
  type ControllerResult,
  type ControllerStateMachine,
  formatSlots,
  parseShardName,
  parseSlots,
  type ShardMap,
  type ShardPort,
  shardName,
  slotOfKey,
} from '../../shardctrl/index.js';
import type {
  AddNodeRequest,
  AdminService,
  Answer,
  ApiError,
  BalanceSettingsRequest,
  BalanceSettingsView,
  BalanceView,
  ClusterView,
  HotReport,
  LeaderView,
  LocateView,
  MapView,
  MembersRequest,
  MembersView,
  MoveRequest,
  NodeView,
  PlanAction,
  PlanRequest,
  PlanView,
  ReadinessView,
  ReceiptsView,
  ReshardRequest,
  SettingsRequest,
  SettingsView,
  VerifyRequest,
  VerifyRunsView,
  VerifyView,
} from './api.js';
import { BalanceAdmin } from './balance-admin.js';
import type { BalanceService } from './balance-service.js';
import { ClusterReporter } from './cluster-reporter.js';
import { CONTROLLER, type ControllerCaller, type MapAnswer } from './controller-caller.js';
import type { HelloService } from './hello.js';
import type { Joiner } from './joiner.js';
import type { Leaders } from './leaders.js';
import type { LoadMeter } from './load-meter.js';
import type { LoadService } from './load-service.js';
import type { MapKeeper } from './map-keeper.js';
import { MembersAdmin, noShard } from './members-admin.js';
import type { PeerBook } from './peer-book.js';
import { limitsOf, PlanDrafts, wishOf } from './plan-drafts.js';
import { type PlanReport, planView, receiptsView } from './plan-view.js';
import type { Rpc } from './rpc.js';
import { SettingsAdmin } from './settings-admin.js';
import type { VerifyAdmin } from './verify/verify-admin.js';

export interface AdminServiceOptions {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly host: ReplicaHost;
  readonly maps: MapKeeper;
  readonly leaders: Leaders;
  readonly controller: ControllerCaller;
  readonly hello: HelloService;
  readonly rpc: Rpc;
  readonly transport: Transport;
  readonly shards: ShardPort;
  readonly book: PeerBook;
  readonly joiner: Joiner;
  readonly meter: LoadMeter;
  readonly loads: LoadService;
  readonly balance: BalanceService;
  readonly controllerNodes: () => readonly NodeId[];
  readonly verifier: VerifyAdmin;
  readonly failed: (error: unknown) => void;
}

const ok = <T>(value: T): Answer<T> => ({ ok: true, value });
const fail = (error: ApiError): { ok: false; error: ApiError } => ({ ok: false, error });

export class AdminServiceImpl implements AdminService {
  readonly #options: AdminServiceOptions;
  readonly #reporter: ClusterReporter;
  readonly #members: MembersAdmin;
  readonly #settings: SettingsAdmin;
  readonly #drafts: PlanDrafts;
  readonly #balance: BalanceAdmin;

  constructor(options: AdminServiceOptions) {
    this.#options = options;
    this.#reporter = new ClusterReporter(options);
    this.#members = new MembersAdmin(options);
    this.#settings = new SettingsAdmin(options.controller);
    const { clock, shards, controller } = options;
    this.#drafts = new PlanDrafts({
      clock,
      shards,
      controller,
      map: (timeout_ms) => this.#freshMap(timeout_ms),
      down: () => this.#down(),
    });
    this.#balance = new BalanceAdmin({
      ...options,
      drafts: this.#drafts,
      down: () => this.#down(),
      start: (command, timeout_ms) => this.#command(command, timeout_ms),
    });
  }

  async cluster(timeout_ms: number): Promise<Answer<ClusterView>> {
    const map = this.#options.maps.map;
    return map === null ? fail(this.#noMap()) : ok(await this.#reporter.report(map, timeout_ms));
  }

  async map(epoch: number | null, waitEpoch: number | null, timeout_ms: number): Promise<Answer<MapView>> {
    const { maps, controller } = this.#options;
    if (epoch !== null) {
      const known = this.#knownMap(epoch);
      if (known !== null) return ok(mapView(known));
      const answer = await controller.map(epoch, timeout_ms);
      if (answer === 'missing')
        return fail({ code: 'not_found', detail: `there is no epoch ${epoch}; the newest is ${maps.epoch}` });
      return answer === null ? fail(this.#controllerAway('unavailable')) : ok(mapView(answer.map));
    }
    if (waitEpoch !== null && maps.epoch < waitEpoch) await this.#waitForEpoch(waitEpoch, timeout_ms);
    return maps.map === null ? fail(this.#noMap()) : ok(mapView(maps.map));
  }

  /** An epoch never changes once it has been made: whoever has it need not ask. */
  #knownMap(epoch: number): ShardMap | null {
    const { maps, host } = this.#options;
    if (maps.map?.epoch === epoch) return maps.map;
    const replica = host.get(CONTROLLER);
    if (replica === undefined || replica.damage !== null) return null;
    return (replica.machine as ControllerStateMachine).mapAt(epoch);
  }

  #waitForEpoch(epoch: number, timeout_ms: number): Promise<void> {
    const { maps, clock } = this.#options;
    return new Promise((resolve) => {
      const timer = clock.after(timeout_ms, () => settle());
      const unsubscribe = maps.onChange(() => {
        if (maps.epoch >= epoch) settle();
      });
      const settle = (): void => {
        timer.cancel();
        unsubscribe();
        resolve();
      };
    });
  }

  locate(key: Buffer): Answer<LocateView> {
    const { maps, leaders } = this.#options;
    if (maps.map === null) return fail(this.#noMap());
    const slot = slotOfKey(key);
    const shard = maps.ownerOf(slot);
    return ok({
      slot,
      shard: shardName(shard),
      leader: leaders.known(shard),
      members: maps.membersOf(shard),
      epoch: maps.epoch,
    });
  }

  async reshard(request: ReshardRequest, timeout_ms: number): Promise<Answer<PlanView>> {
    const { clock } = this.#options;
    const deadline_ms = clock.monotonic_ms() + timeout_ms;
    const wish = wishOf(request);
    if (!wish.ok) return wish;
    if (request.dry_run) return this.#drafts.reshard(wish.value, limitsOf(request), timeout_ms);
    const figures = await this.#drafts.figures(wish.value, timeout_ms);
    if (!figures.ok) return figures;
    const left_ms = Math.max(1, deadline_ms - clock.monotonic_ms());
    const command = {
      kind: 'reshard',
      ...wish.value,
      figures: figures.value,
      downNodes: this.#down(),
      ...limitsOf(request),
    } as const;
    return this.#command(command, left_ms);
  }

  async move(request: MoveRequest, timeout_ms: number): Promise<Answer<PlanView>> {
    const slots = parseSlots(request.slots);
    if (!slots.ok) return fail({ code: 'invalid_argument', detail: `slots: ${slots.detail}` });
    const to = parseShardName(request.to);
    if (to === null)
      return fail({ code: 'invalid_argument', detail: `to: "${request.to}" is not the name of a shard like s1` });
    if (request.dry_run) {
      return this.#drafts.move(slots.slots, to, limitsOf(request), timeout_ms, (map) => noShard(shardName(to), map));
    }
    const command = { kind: 'move', slots: slots.slots, to, downNodes: this.#down(), ...limitsOf(request) } as const;
    const started = await this.#command(command, timeout_ms);
    const { map } = this.#options.maps;
    const unknown = map?.shards.some((shard) => shard.id === to) === false;
    if (!started.ok && started.error.code === 'plan_impossible' && unknown) return fail(noShard(shardName(to), map));
    return started;
  }

  /** Silent for long enough, and for as long as it takes to ask once more: who is new has not been heard yet. */
  #down(): NodeId[] {
    const { self, maps, hello } = this.#options;
    const nodes = maps.map?.nodes.map(({ id }) => id) ?? [];
    return nodes.filter((id) => id !== self && (hello.downFor_ms(id) ?? 0) > 0);
  }

  async #freshMap(timeout_ms: number): Promise<Answer<MapAnswer>> {
    const answer = await this.#options.controller.map(null, timeout_ms);
    if (answer === 'missing') return fail(this.#noMap());
    return answer === null ? fail(this.#controllerAway('unavailable')) : ok(answer);
  }

  steerPlan(id: string, action: PlanAction, timeout_ms: number): Promise<Answer<PlanView>> {
    return this.#command({ kind: 'plan_control', plan: id, action }, timeout_ms);
  }

  /** Starts a plan or steers it; gives the plan. */
  async #command(command: ControllerCommand, timeout_ms: number): Promise<Answer<PlanView>> {
    const answer = await this.#options.controller.propose(command, timeout_ms);
    if (answer.kind === 'unavailable') return fail(this.#controllerAway('no_leader'));
    if (answer.kind === 'unknown') return fail(this.#controllerAway('outcome_unknown'));
    const { result, report } = answer;
    if (result.kind !== 'plan_started' && result.kind !== 'ok') return fail(this.#planRefusal(result));
    if (report === null || report.plan === null) throw new Error('invariant: the plan is not reported');
    return ok(planView({ ...report, plan: report.plan }, this.#options.clock.wall_ms()));
  }

  #planRefusal(result: ControllerResult): ApiError {
    switch (result.kind) {
      case 'conflict':
        return { code: 'conflict', detail: result.detail };
      case 'unknown_plan':
        return noPlan(result.plan);
      case 'plan_impossible':
        return { code: 'plan_impossible', detail: result.missing };
      case 'malformed':
        return { code: 'invalid_argument', detail: result.detail };
      case 'not_initialised':
        return this.#noMap();
      default:
        return { code: 'internal', detail: `unexpected answer of the controller: ${result.kind}` };
    }
  }

  async plan(
    id: string | null,
    timeout_ms: number,
  ): Promise<Answer<PlanView & { history?: readonly { id: string; state: string; created: string }[] }>> {
    const report: PlanReport | null = await this.#options.controller.plan(id, timeout_ms);
    if (report === null) return fail(this.#controllerAway('unavailable'));
    if (report.plan === null) {
      return fail(id === null ? { code: 'not_found', detail: 'there has been no plan yet' } : noPlan(id));
    }
    const view = planView({ ...report, plan: report.plan }, this.#options.clock.wall_ms());
    if (id !== null) return ok(view);
    const history = report.history.map((past) => ({
      id: past.id,
      state: past.state,
      created: new Date(past.created_ms).toISOString(),
    }));
    return ok({ ...view, history });
  }

  async receipts(id: string, after: number, limit: number, timeout_ms: number): Promise<Answer<ReceiptsView>> {
    const answer = await this.#options.controller.receipts(id, after, limit, timeout_ms);
    if (answer === null) return fail(this.#controllerAway('unavailable'));
    return answer.plan === null ? fail(noPlan(id)) : ok(receiptsView(answer.plan, answer.receipts, after));
  }

  readiness(): ReadinessView {
    const { maps, host } = this.#options;
    const checks = [
      {
        name: 'map',
        ok: maps.map !== null,
        detail: maps.map === null ? 'no shard map yet' : `epoch ${maps.epoch}`,
      },
    ];
    for (const group of host.groups()) {
      const replica = host.get(group);
      if (replica === undefined) continue;
      const leader = replica.damage === null ? replica.leaderNode : null;
      const name = group === CONTROLLER ? 'controller' : shardName(group);
      const detail = replica.damage ?? (leader === null ? 'no leader known' : `led by ${leader}`);
      checks.push({ name, ok: leader !== null, detail });
    }
    const lost = host.damaged(CONTROLLER);
    if (lost !== undefined && host.get(CONTROLLER) === undefined) {
      checks.push({ name: 'controller', ok: false, detail: lost.reason });
    }
    for (const shard of maps.map?.shards ?? []) {
      const own = shard.members.some((member) => member.node === this.#options.self);
      if (own && host.get(shard.id) === undefined) {
        const damaged = host.damaged(shard.id);
        checks.push({ name: shardName(shard.id), ok: false, detail: damaged?.reason ?? 'replica not made yet' });
      }
    }
    return { ready: checks.every((check) => check.ok), checks };
  }

  async hot(limit: number, timeout_ms: number): Promise<Answer<HotReport>> {
    const { map } = this.#options.maps;
    return map === null ? fail(this.#noMap()) : this.#balance.hot(map, limit, timeout_ms);
  }

  balance(timeout_ms: number): Promise<Answer<BalanceView>> {
    return this.#balance.balance(timeout_ms);
  }

  startBalance(request: PlanRequest, timeout_ms: number): Promise<Answer<PlanView>> {
    return this.#balance.start(request, timeout_ms);
  }

  setBalance(request: BalanceSettingsRequest, timeout_ms: number): Promise<Answer<BalanceSettingsView>> {
    return this.#balance.set(request, timeout_ms);
  }

  addNode({ peer }: AddNodeRequest, timeout_ms: number): Promise<Answer<NodeView>> {
    return this.#members.addNode(peer, timeout_ms);
  }

  removeNode(id: string, timeout_ms: number): Promise<Answer<NodeView>> {
    return this.#members.removeNode(id, timeout_ms);
  }

  changeMembers(shard: string, request: MembersRequest, timeout_ms: number): Promise<Answer<MembersView>> {
    return this.#members.changeMembers(shard, request, timeout_ms);
  }

  members(shard: string, timeout_ms: number): Promise<Answer<MembersView>> {
    return this.#members.members(shard, timeout_ms);
  }

  transferLeader(shard: string, to: string, timeout_ms: number): Promise<Answer<LeaderView>> {
    return this.#members.transferLeader(shard, to, timeout_ms);
  }

  settings(timeout_ms: number): Promise<Answer<SettingsView>> {
    return this.#settings.settings(timeout_ms);
  }

  changeSettings(request: SettingsRequest, timeout_ms: number): Promise<Answer<SettingsView>> {
    return this.#settings.change(request, timeout_ms);
  }

  verify(request: VerifyRequest, timeout_ms: number): Promise<Answer<VerifyView>> {
    return this.#options.verifier.start(request, timeout_ms);
  }

  verification(id: string, timeout_ms: number): Promise<Answer<VerifyView>> {
    return this.#options.verifier.show(id, timeout_ms);
  }

  verifications(timeout_ms: number): Promise<Answer<VerifyRunsView>> {
    return this.#options.verifier.list(timeout_ms);
  }

  cancelVerification(id: string, timeout_ms: number): Promise<Answer<VerifyView>> {
    return this.#options.verifier.cancel(id, timeout_ms);
  }

  #noMap(): ApiError {
    return {
      code: 'unavailable',
      detail: 'this node has no shard map yet: the cluster is being made, or its controller does not answer',
    };
  }

  #controllerAway(code: 'no_leader' | 'unavailable' | 'outcome_unknown'): ApiError {
    const members = this.#options.controllerNodes().join(', ');
    const detail =
      code === 'outcome_unknown'
        ? 'the controller did not confirm the command: look at GET /v1/admin/reshard before you repeat it'
        : `the controller (${members}) did not answer in time: a majority of its members may be away`;
    return { code, detail };
  }
}

const noPlan = (id: string): ApiError => ({ code: 'not_found', detail: `there is no plan ${id}` });

function mapView(map: ShardMap): MapView {
  return {
    cluster_id: map.clusterId,
    epoch: map.epoch,
    shards: map.shards.map((shard) => ({
      id: shardName(shard.id),
      slots: formatSlots(shard.slots),
      members: shard.members.map((member) => member.node),
      weight: shard.weight,
      ...(shard.avoids.length === 0 ? {} : { avoids: shard.avoids }),
    })),
    nodes: map.nodes.map(({ id, http, peer, labels }) => ({ id, http, peer, labels })),
  };
}
