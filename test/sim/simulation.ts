/**
 * One seed, one run: a cluster is made, clients work, things go wrong; then comes calm, in which everything must make
 * progress; then every history and every replica is checked.
 */

import type { KvStateMachine } from '../../src/kv/store/index.js';
import type { EngineRow } from '../../src/raft/index.js';
import { type ControllerStateMachine, countSlots, groupsOf, SlotState } from '../../src/shardctrl/index.js';
import { HistoryRecorder } from '../checker/history.js';
import { registerModel } from '../checker/register-model.js';
import { checkLinearizable } from '../checker/wgl.js';
import { SimScheduler } from './fakes/clock.js';
import { CALM, SimNetwork } from './fakes/network.js';
import { ProcessGone } from './fakes/process-gone.js';
import { SimRandom } from './fakes/random.js';
import { drawFaults, type Fault } from './faults.js';
import { FinalVerification } from './final-verification.js';
import { AppliedIsDurable } from './invariants/applied-is-durable.js';
import { Books } from './invariants/books.js';
import { BoundedQueues, type QueueLimits } from './invariants/bounded-queues.js';
import { CommittedLog } from './invariants/committed-log.js';
import { ConfirmedIsHeld } from './invariants/confirmed-is-held.js';
import { DeleteAfterInstall } from './invariants/delete-after-install.js';
import { DurableMajority } from './invariants/durable-majority.js';
import { ElectionSafety } from './invariants/election-safety.js';
import { EpochsGrow } from './invariants/epochs-grow.js';
import { EqualState } from './invariants/equal-state.js';
import { leaderOf, type ReplicaView } from './invariants/invariant.js';
import { LeaderAppendOnly } from './invariants/leader-append-only.js';
import { LeadersStepDown } from './invariants/leaders-step-down.js';
import { LogMatching } from './invariants/log-matching.js';
import { OldMaps } from './invariants/old-maps.js';
import { OneEffect } from './invariants/one-effect.js';
import { OneOwner } from './invariants/one-owner.js';
import { Promotions } from './invariants/promotions.js';
import { ReplicaIds } from './invariants/replica-ids.js';
import { faultAtRest } from './invariants/rows-at-rest.js';
import { SettledMembers } from './invariants/settled-members.js';
import { SlotsCovered } from './invariants/slots-covered.js';
import { Verdicts } from './invariants/verdicts.js';
import { Watch } from './invariants/watch.js';
import { Nemesis } from './nemesis.js';
import { newestMap } from './newest-map.js';
import { SimHttp } from './sim-http.js';
import { addressOf, SimNode } from './sim-node.js';
import { Trace } from './trace.js';
import { Workload, type WorkloadStats } from './workload.js';

export interface SimulationOptions {
  readonly seed: number;
  /** Simulated seconds of faults; start and calm come on top. */
  readonly seconds: number;
  readonly keepTrace: boolean;
  /** Only these, of those that the seed draws. */
  readonly only?: readonly Fault[];
}

export interface SimulationResult {
  readonly seed: number;
  /** null: nothing was violated. */
  readonly violation: string | null;
  readonly digest: string;
  readonly simulated_ms: number;
  readonly steps: number;
  readonly faults: readonly Fault[];
  readonly operations: WorkloadStats;
  readonly epochs: number;
  readonly trace: readonly string[];
}

const MIB = 1024 * 1024;
const START_LIMIT_MS = 60_000;
const CALM_LIMIT_MS = 60_000;
/** As long as nothing of these is written, a shard is at rest. */
const QUIET_MS = 2_000;
/** Until every replica has been compared. */
const VERIFICATIONS_MAX = 5;
/** Invariants that cost more than a few comparisons are looked at this often. */
const SLOW_CHECK_MS = 100;
/** So much of the time a clock may be fast or slow. */
const CLOCK_RATE_OFF = 0.05;
/** By how much a stale read may be older than it says: what a leader may not know yet for an election timeout, clocks that run apart. */
const STALE_TOLERANCE_MS = 2_000;

/** It was told of nodes only that have left since, or are lost: nobody can let it in. */
const isStranded = ({ joins, node }: SimNode, away: readonly string[]): boolean =>
  joins !== null && node?.maps.map === null && joins.every((address) => away.some((id) => addressOf(id) === address));

/** How often the simulation looks whether what it waits for has come. */
const BEAT_MS = 25;
const UNLIMITED: QueueLimits = {
  maxInflightMessages: Number.POSITIVE_INFINITY,
  maxInflightBytes: Number.POSITIVE_INFINITY,
  maxUncommittedBytes: Number.POSITIVE_INFINITY,
};

export class Simulation {
  readonly #options: SimulationOptions;
  readonly #random: SimRandom;
  readonly #scheduler = new SimScheduler();
  readonly #trace: Trace;
  readonly #network: SimNetwork;
  readonly #nodes: SimNode[] = [];
  readonly #faults: Set<Fault>;
  readonly #committed = new CommittedLog();
  #limits: QueueLimits = UNLIMITED;
  readonly #queues = new BoundedQueues(() => this.#limits);
  readonly #oldMaps = new OldMaps();
  readonly #settled = new SettledMembers((id, group, index) => this.#node(id).knows(group, index));
  readonly #watch = new Watch({
    always: [
      new ElectionSafety(),
      new LeaderAppendOnly(),
      this.#committed,
      new DurableMajority((id, group, index, term) => this.#node(id).holds(group, index, term)),
      new AppliedIsDurable((id, group, index, term) => this.#node(id).holds(group, index, term)),
      new OneOwner(),
      new SlotsCovered(),
      this.#oldMaps,
      new ReplicaIds(),
      this.#settled,
      new Promotions(),
      this.#queues,
    ],
    often: [
      new EqualState(),
      new LogMatching(),
      new ConfirmedIsHeld({
        forgetful: (id) => this.#node(id).harm === 'old',
        lost: (id) => this.#node(id).unreliable,
      }),
      new LeadersStepDown({
        reaches: (from, to) => !this.#network.blocked(from, to) && this.#node(to).up && !this.#node(to).paused,
        asleep: (id) => this.#node(id).paused,
        late_ms: () => this.#lateFrames_ms(),
      }),
    ],
    often_ms: SLOW_CHECK_MS,
  });
  readonly #books: Books = new Books({
    now_ms: () => this.#scheduler.now_ms,
    placeOf: (group, slot) => this.#verdicts.placeOf(group, slot),
    isBlank: (group) => this.#verdicts.isBlank(group),
    unsettled: (group) => this.#settled.missing(group),
    failed: (what) => this.#fail(what),
    clocksDiffer: () => this.#faults.has('clock_rate'),
  });
  readonly #verdicts: Verdicts = new Verdicts(
    (what) => this.#fail(what),
    [new OneEffect(), new DeleteAfterInstall(), this.#books],
  );
  readonly #epochs = new EpochsGrow();
  #violation: string | null = null;
  /** Replicas have come or gone. */
  #stale = true;
  #nextMilestone_ms = 0;
  #nemesis: Nemesis | null = null;
  #replicasEach = 3;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#random = new SimRandom(options.seed);
    this.#trace = new Trace(this.#scheduler, options.keepTrace);
    this.#network = new SimNetwork(this.#scheduler, this.#random);
    this.#faults = drawFaults(this.#random.fork('faults'));
    if (options.only !== undefined)
      for (const fault of this.#faults) if (!options.only.includes(fault)) this.#faults.delete(fault);
  }

  #node(id: string): SimNode {
    return this.#nodes.find((node) => node.id === id)!;
  }

  #fail(what: string): void {
    if (this.#violation !== null) return;
    this.#violation = `${this.#scheduler.now_ms.toFixed(0)} ms: ${what}`;
    this.#trace.add('VIOLATION', what);
  }

  async run(): Promise<SimulationResult> {
    const nodes = this.#makeNodes();
    const http = new SimHttp(this.#scheduler, new Map(nodes.map((node) => [node.id, node])), this.#random);
    const history = new HistoryRecorder(() => this.#scheduler.now_ms);
    const workload = new Workload({
      scheduler: this.#scheduler,
      http,
      // Others they hear of.
      endpoints: nodes.filter((node) => node.founder).map((node) => `http://${node.id}:80`),
      random: this.#random,
      history,
      early_ms: () => this.#expiryTolerance_ms(),
      late_ms: STALE_TOLERANCE_MS,
      rotten: () => nodes.some((node) => node.harm === 'rotten'),
      trace: this.#trace,
      failed: (what) => this.#fail(what),
    });
    const play = (): Promise<void> => this.#verdicts.during(() => this.#books.during(() => this.#play(http, workload)));
    await this.#guarded(() => this.#queues.countingReads((what) => this.#fail(what), play));
    workload.close();
    if (this.#violation === null) {
      const verdict = checkLinearizable(registerModel, history.operations());
      if (!verdict.ok) {
        this.#fail(`the history: ${verdict.kind === 'violation' ? verdict.violation.message : verdict.message}`);
      }
    }
    return {
      seed: this.#options.seed,
      violation: this.#violation,
      simulated_ms: this.#scheduler.now_ms,
      steps: this.#scheduler.steps,
      faults: [...this.#faults],
      operations: workload.stats,
      epochs: Math.max(0, ...nodes.map((node) => node.node?.maps.epoch ?? 0)),
      trace: this.#trace.lines,
      digest: this.#trace.digest(),
    };
  }

  #lateFrames_ms(): number {
    return this.#faults.has('duplicate') || this.#faults.has('reorder') ? CALM.reorder_ms : 0;
  }

  /**
   * Leaders' clocks are at most half a second from the median of what the nodes last said (architecture decision 8). Where
   * rates differ they part more and more; and where only two of three nodes have been heard, the slower one is believed until the third
   * is (cluster-clock.ts).
   */
  #expiryTolerance_ms(): number {
    if (this.#faults.has('wall_jump')) return Number.POSITIVE_INFINITY;
    const parted_ms = this.#faults.has('clock_rate') ? 2 * CLOCK_RATE_OFF * this.#scheduler.now_ms : 0;
    return 300 + parted_ms;
  }

  /** What production code throws where nobody catches it is a violation too. */
  async #guarded(run: () => Promise<void>): Promise<void> {
    const onRejection = (error: unknown): void => {
      if (!(error instanceof ProcessGone))
        this.#fail(`unhandled rejection: ${(error as Error)?.stack ?? String(error)}`);
    };
    process.on('unhandledRejection', onRejection);
    try {
      await run();
    } catch (error) {
      this.#fail(`thrown: ${(error as Error).stack}`);
    } finally {
      process.off('unhandledRejection', onRejection);
    }
  }

  #makeNodes(): readonly SimNode[] {
    const random = this.#random.fork('shape');
    const count = random.pick([3, 3, 3, 3, 4, 5]);
    const ids = Array.from({ length: count }, (_, i) => `n${i + 1}`);
    const bootstrap = {
      nodes: new Map(ids.map((id) => [id, addressOf(id)])),
      // One has nowhere to move slots to.
      shards: random.int(this.#faults.has('shuttle') || this.#faults.has('auto_balance') ? 2 : 1, 3),
      // Five where it can be; and groups of two, which lose writes as soon as one node is away, but nothing else.
      replicas: count === 5 && random.chance(0.5) ? 5 : random.chance(0.05) ? 2 : 3,
    };
    const racing = this.#faults.has('snapshot_race');
    const raft = {
      heartbeat_ms: 100,
      election_timeout_ms: 1_000,
      // Small in half of the runs, so that logs are compacted and snapshots sent.
      // Tiny for a snapshot race: a log goes on while a follower is a second behind.
      snapshotLogBytes: racing ? random.int(100, 500) : random.chance(0.5) ? random.int(2_000, 20_000) : 16 * MIB,
      // Nothing in some: then a follower may need one snapshot after the other while there are writes.
      catchUpLogBytes: this.#random.fork('catch-up').pick([0, 20_000, 16 * MIB, 16 * MIB]),
      maxInflightMessages: random.pick(racing ? [16, 256] : [2, 16, 256]),
      maxInflightBytes: random.pick([20_000, MIB]),
      // Tiny for figure 8: an old entry gets through, and the leader's own does not.
      maxMessageBytes: random.pick(this.#faults.has('coup') ? [1, 60, 200, MIB] : [200, 500, 5_000, MIB]),
      // Small in some, so that it is ever reached. From a stream of its own: what was drawn before it was there stays.
      maxUncommittedBytes: this.#random.fork('limits').chance(0.3)
        ? this.#random.fork('limit').pick([50_000, 50_000, 5_000])
        : 16 * MIB,
      rowCacheBytes: 64 * 1024,
    };
    this.#limits = raft;
    this.#replicasEach = Math.min(bootstrap.replicas, count);
    const late = this.#faults.has('members')
      ? Array.from({ length: random.int(1, 2) }, (_, i) => `n${count + i + 1}`)
      : [];
    for (const id of [...ids, ...late]) {
      this.#nodes.push(
        new SimNode({
          id,
          scheduler: this.#scheduler,
          network: this.#network,
          random: this.#random.fork(id),
          trace: this.#trace,
          bootstrap,
          joins: late.includes(id) ? random.shuffle(ids).slice(0, random.int(1, 3)).map(addressOf) : null,
          raft,
          clockRate: this.#faults.has('clock_rate') ? random.between(1 - CLOCK_RATE_OFF, 1 + CLOCK_RATE_OFF) : 1,
          sync_ms: this.#faults.has('slow_disk') ? random.between(5, 150) : 2,
          failed: (what) => this.#fail(what),
          changed: () => {
            this.#stale = true;
          },
          tornPages: this.#faults.has('torn_page'),
          anyWiped: () => this.#nodes.some((node) => node.harm === 'wiped'),
          ended: (node) => this.#nemesis?.ended(node),
        }),
      );
    }
    return this.#nodes;
  }

  async #play(http: SimHttp, workload: Workload): Promise<void> {
    for (const node of this.#nodes) if (node.founder) await this.#start(node);
    if (!(await this.#until(() => this.#healthy(), START_LIMIT_MS)))
      return this.#fail(`no healthy cluster after ${START_LIMIT_MS} ms`);
    let written = false;
    workload.writeFixedKeys().then(
      () => {
        written = true;
      },
      (error: Error) => this.#fail(`the first keys were not taken: ${error.stack}`),
    );
    if (!(await this.#until(() => written, START_LIMIT_MS))) return this.#fail('the first keys were not taken');
    workload.start();
    const nemesis = new Nemesis({
      scheduler: this.#scheduler,
      network: this.#network,
      http,
      nodes: this.#nodes,
      random: this.#random,
      faults: this.#faults,
      keys: workload.contended,
      hurry: (slots, what) => workload.hurry(slots, what),
      readAt: (node, slots, keys) => workload.readAt(node, slots, keys),
      renewAt: (node, slots) => workload.renewAt(node, slots),
      renewElsewhere: (node, slots) => workload.renewElsewhere(node, slots),
      leaders: () => this.#replicas().filter((view) => view.replica.role === 'leader'),
      committed: (group) => this.#committed.last(group),
      replicas: this.#replicasEach,
      trace: this.#trace,
      failed: (what) => this.#fail(what),
    });
    this.#nemesis = nemesis;
    this.#verdicts.onApplied((group, command, answer) => nemesis.applied(command, answer, group));
    this.#watch.onLeader((view, what) => nemesis.leads(view, what));
    nemesis.start();
    const end_ms = this.#scheduler.now_ms + this.#options.seconds * 1000;
    await this.#until(() => this.#scheduler.now_ms >= end_ms, this.#options.seconds * 1000 + 1);
    if (this.#violation !== null) return;
    nemesis.calm();
    const healed = (): boolean => nemesis.hasLetGo && this.#healthy() && this.#planOver();
    await this.#until(healed, CALM_LIMIT_MS);
    workload.stop();
    const settled = await this.#until(
      () => workload.open === 0 && healed() && this.#agree() && this.#untidy().length === 0,
      CALM_LIMIT_MS,
    );
    if (!settled) this.#fail(`no progress within ${CALM_LIMIT_MS} ms of calm: ${this.#describe(workload)}`);
    else await this.#atRest();
  }

  /** Nothing goes wrong and nobody asks for anything any more: what is there now is what has come of it all. */
  async #atRest(): Promise<void> {
    this.#allOwned();
    this.#membersAgree();
    for (const { node, group, replica } of this.#replicas()) {
      if (group !== 0 || replica.damage !== null || !this.#isSound(this.#node(node))) continue;
      const wrong = this.#oldMaps.recall(replica.machine as ControllerStateMachine);
      if (wrong !== null) this.#fail(`${wrong} (${node})`);
    }
    if (!(await this.#quiet())) return this.#fail(`a shard that nobody uses does not come to rest`);
    for (const view of this.#replicas()) {
      if (view.group !== 0 && view.replica.damage === null && this.#isSound(this.#node(view.node)))
        await this.#readRows(view);
    }
    // It reads all that the invariants have just read: in every other seed, so that there is time for more of them.
    if (this.#options.seed % 2 === 0) await this.#verify();
  }

  /** Shards at rest write nothing: once what had a time to live has gone, their logs grow no more. */
  #quiet(): Promise<boolean> {
    let ends = '';
    let since_ms = this.#scheduler.now_ms;
    return this.#until(() => {
      const now = this.#replicas().flatMap(({ group, replica }) =>
        group !== 0 && replica.leads ? [`s${group} ${replica.term}:${replica.lastIndex}`] : [],
      );
      if (now.join() !== ends) since_ms = this.#scheduler.now_ms;
      ends = now.join();
      return this.#scheduler.now_ms - since_ms > QUIET_MS;
    }, CALM_LIMIT_MS);
  }

  async #readRows(view: ReplicaView): Promise<void> {
    const { node, group, replica } = view;
    const { applied } = replica;
    let rows: readonly EngineRow[] | null = null;
    const all = { gte: Buffer.from([1]), lt: Buffer.from([0xff]), limit: Number.MAX_SAFE_INTEGER };
    const read = replica.settled().then(() => replica.engine.range(all));
    read.then(
      (found) => {
        rows = found;
      },
      (error: Error) => this.#fail(`the rows of s${group} on ${node} cannot be read: ${error.stack}`),
    );
    if (!(await this.#until(() => rows !== null, CALM_LIMIT_MS))) return;
    // Something had a longer time to live: the rows are of before it went.
    if (replica.applied !== applied) return this.#readRows(view);
    const machine = replica.machine as KvStateMachine;
    const wrong = faultAtRest(rows!, machine, (slot) => this.#verdicts.placeOf(group, slot));
    if (wrong !== null) this.#fail(`rows at rest: s${group} on ${node}: ${wrong}`);
  }

  /** Each group's configuration is what the map says, and nothing is left of a change. */
  #membersAgree(): void {
    const leaders = this.#replicas().filter((view) => view.replica.leads);
    const controller = leaders.find((view) => view.group === 0)!.replica.machine as ControllerStateMachine;
    for (const [group, { members }] of groupsOf(controller.map()!)) {
      const { voters, outgoing, learners } = leaders.find((view) => view.group === group)!.replica.conf;
      const found = voters.map(({ node, id }) => `${node} ${id}`).sort();
      const due = members.map(({ node, replica }) => `${node} ${replica}`).sort();
      if (outgoing.length + learners.length > 0 || found.join() !== due.join())
        this.#fail(
          `members of group ${group} are ${found.join(', ')} (and ${outgoing.length} that go, ${learners.length} learners); the map says ${due.join(', ')}`,
        );
    }
  }

  /** The product's own word on it. */
  async #verify(): Promise<void> {
    const leader = leaderOf(this.#replicas(), 0)!;
    const plan = (leader.replica.machine as ControllerStateMachine).latestPlan();
    const node = this.#node(leader.node);
    const id = plan === null || plan.forgotten ? null : plan.id;
    for (let attempt = 1; ; attempt++) {
      const verification = new FinalVerification({ node, plan: id, nodes: this.#nodes });
      verification.begin();
      if (!(await this.#until(() => verification.over, CALM_LIMIT_MS)))
        return this.#fail('the final verification goes on');
      if (attempt < VERIFICATIONS_MAX && verification.toBeRepeated) continue;
      const wrong = verification.verdict();
      if (wrong !== null) this.#fail(wrong);
      return;
    }
  }

  #start(node: SimNode): Promise<void> {
    void node.start().catch((error: unknown) => this.#fail(`${node.id} does not start: ${(error as Error).stack}`));
    return Promise.resolve();
  }

  /** Runs, checking at every step, until the condition holds (true), the limit passes or something is violated (false). */
  async #until(condition: () => boolean, limit_ms: number): Promise<boolean> {
    const until_ms = this.#scheduler.now_ms + limit_ms;
    let held = false;
    // A timer keeps the clock going even if nothing else would.
    const beat = (): void => {
      this.#milestone();
      held = condition();
      if (!held && this.#scheduler.now_ms < until_ms) this.#scheduler.after(BEAT_MS, beat);
    };
    beat();
    await this.#scheduler.runWhile(() => {
      this.#check();
      return !held && this.#violation === null;
    }, until_ms);
    return held && this.#violation === null;
  }

  /** Once a simulated second: so that two runs that part do so in the trace as well, whether or not anybody was told. */
  #milestone(): void {
    if (this.#scheduler.now_ms < this.#nextMilestone_ms) return;
    this.#nextMilestone_ms = this.#scheduler.now_ms + 1_000;
    const { delivered, lost, duplicated, reordered, resets } = this.#network.stats;
    const logs = this.#watch.replicas.map(
      ({ node, group, replica }) => `${node}/${group} ${replica.role} ${replica.term}:${replica.lastIndex}`,
    );
    const frames = `${delivered} frames, ${lost} lost, ${duplicated} repeated, ${reordered} late, ${resets} resets`;
    this.#trace.add('simulation', `${this.#scheduler.steps} steps, ${frames}; ${logs.join(', ')}`);
  }

  #check(): void {
    if (this.#stale) {
      this.#stale = false;
      this.#watch.refresh(this.#nodes);
    }
    const wrong = this.#watch.check(this.#scheduler.now_ms) ?? this.#epochs.check(this.#nodes);
    if (wrong !== null) this.#fail(wrong);
  }

  #replicas(): readonly ReplicaView[] {
    this.#watch.refresh(this.#nodes);
    return this.#watch.replicas;
  }

  /** Those that have left the cluster, by the newest map that anybody knows. */
  #gone(): readonly string[] {
    return newestMap(this.#nodes)?.gone ?? [];
  }

  #isSound(node: SimNode, gone: readonly string[] = this.#gone()): boolean {
    const lost = this.#nodes.flatMap(({ id, unreliable }) => (unreliable ? [id] : []));
    return node.started && mustServe(node) && !gone.includes(node.id) && !isStranded(node, [...gone, ...lost]);
  }

  /** What is left, in words, of moves, shards and replicas that are over. */
  #untidy(): readonly string[] {
    const left: string[] = [];
    for (const { node, group, replica } of this.#replicas()) {
      if (group === 0 || !replica.leads) continue;
      const machine = replica.machine as KvStateMachine;
      const count = countSlots(machine.slotsInState(SlotState.Purging)) + countSlots(machine.slotsWithLeftovers());
      if (count > 0) left.push(`s${group} on ${node} has ${count} slots to purge`);
    }
    const gone = this.#gone();
    for (const sim of this.#nodes) {
      const map = sim.node?.maps.map;
      if (map === undefined || map === null || !this.#isSound(sim, gone)) continue;
      const due = groupsOf(map).flatMap(([group, { members }]) =>
        members.some(({ node }) => node === sim.id) ? [group] : [],
      );
      const hosted = [...sim.node!.host.groups()].sort((a, b) => a - b);
      if (hosted.join() !== due.join()) left.push(`${sim.id} hosts ${hosted.join(', ')}, not ${due.join(', ')}`);
      const files = [...new Set(sim.engines.map((name) => Number(/^g(\d+)-/.exec(name)?.[1])))].sort((a, b) => a - b);
      if (files.join() !== due.join() || sim.engines.length !== due.length)
        left.push(`${sim.id} has files ${sim.engines.join(', ')}, for ${due.join(', ')}`);
    }
    return left;
  }

  #healthy(): boolean {
    const gone = this.#gone();
    // One whose disk has lost something need not serve again: nobody replaces it here.
    const sound = this.#nodes.filter((node) => this.#isSound(node, gone));
    if (!sound.every(({ node }) => node?.admin.readiness().ready === true)) return false;
    const led = new Set(this.#replicas().flatMap((view) => (view.replica.leads ? [view.group] : [])));
    const shards = sound[0]!.node!.maps.map?.shards ?? [];
    return led.has(0) && shards.length > 0 && shards.every((shard) => led.has(shard.id));
  }

  #planOver(): boolean {
    const leader = leaderOf(this.#replicas(), 0);
    if (leader === undefined) return false;
    const machine = leader.replica.machine as ControllerStateMachine;
    return machine.runningPlan() === null && machine.changes().length === 0 && machine.map()?.draining.length === 0;
  }

  /** Every replica of a group has applied the same. */
  #agree(): boolean {
    const byGroup = new Map<number, number>();
    // One on an empty disk has a controller's replica of its own, of a cluster that nobody else takes part in.
    const astray = new Set([...this.#nodes.flatMap(({ id, harm }) => (harm === 'wiped' ? [id] : [])), ...this.#gone()]);
    for (const { node, group, replica } of this.#replicas()) {
      if (replica.damage !== null || astray.has(node)) continue;
      const applied = byGroup.get(group);
      if (applied !== undefined && applied !== replica.applied) return false;
      byGroup.set(group, replica.applied);
    }
    return true;
  }

  /** None forgotten: at the end every slot is served, by the shard that the map names. */
  #allOwned(): void {
    const leaders = this.#replicas().filter((view) => view.replica.leads);
    const controller = leaders.find((view) => view.group === 0)!.replica.machine as ControllerStateMachine;
    for (const shard of controller.map()?.shards ?? []) {
      const leader = leaders.find((view) => view.group === shard.id);
      const served = (leader?.replica.machine as KvStateMachine | undefined)?.servedSlots() ?? [];
      if (JSON.stringify(served) !== JSON.stringify(shard.slots)) {
        this.#fail(`s${shard.id} serves ${JSON.stringify(served)}, the map says ${JSON.stringify(shard.slots)}`);
      }
    }
  }

  #describe(workload: Workload): string {
    const notReady = this.#nodes.flatMap(({ id, node }) =>
      (node?.admin.readiness().checks ?? [{ name: 'process', ok: false, detail: 'down' }])
        .filter((check) => !check.ok)
        .map((check) => `${id} ${check.name}: ${check.detail}`),
    );
    const leader = leaderOf(this.#replicas(), 0);
    const machine = leader?.replica.machine as ControllerStateMachine | undefined;
    const plan = machine?.runningPlan();
    const batches = machine?.batches() ?? [];
    return [
      `${workload.open} operations open`,
      ...notReady,
      `changes ${JSON.stringify(machine?.changes() ?? [])}, draining ${machine?.map()?.draining}`,
      plan === null || plan === undefined
        ? 'no plan'
        : `plan ${plan.id} ${plan.status}, batches ${JSON.stringify(batches.map((b) => [b.move, b.phase, b.reason]))}`,
      this.#agree() ? 'replicas agree' : 'replicas differ',
      ...this.#untidy(),
    ].join('; ');
  }
}

/** One on an old copy of its disk too, as long as nobody has found it out. */
function mustServe({ harm, node }: SimNode): boolean {
  if (harm !== 'old') return harm === 'none';
  const map = node?.maps.map?.shards ?? [];
  return [0, ...map.map(({ id }) => id)].every((group) => node?.host.damaged(group) === undefined);
}
