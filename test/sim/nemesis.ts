/** Makes things go wrong, now and then, as the seed says. */

import type { KvCommand, KvResult } from '../../src/kv/store/index.js';
import type { GroupId } from '../../src/raft/index.js';
import { SLOT_COUNT, type SlotRanges, slotOfKey } from '../../src/shardctrl/index.js';
import { Ambush, type Haste } from './ambush.js';
import { AutoBalance } from './auto-balance.js';
import { ChangeAmbush } from './change-ambush.js';
import { Coup } from './coup.js';
import { DiskNemesis } from './disk-nemesis.js';
import { Doubt } from './doubt.js';
import type { SimScheduler } from './fakes/clock.js';
import type { SimNetwork } from './fakes/network.js';
import type { SimRandom } from './fakes/random.js';
import { type Fault, networkFaults, STRIKES } from './faults.js';
import { Heirs } from './heirs.js';
import type { ReplicaView } from './invariants/invariant.js';
import type { LeaderEvent } from './invariants/watch.js';
import { LateSteps } from './late-steps.js';
import { LateSync } from './late-sync.js';
import { MidStep } from './mid-step.js';
import { Muffle } from './muffle.js';
import { newestMap } from './newest-map.js';
import { OpenCalls } from './open-calls.js';
import { Operator } from './operator.js';
import { PlanOptions } from './plan-options.js';
import { floodWithReads } from './read-flood.js';
import { RosterNemesis } from './roster-nemesis.js';
import type { SimHttp } from './sim-http.js';
import type { SimNode } from './sim-node.js';
import { SnapshotRace } from './snapshot-race.js';
import { Stillborn } from './stillborn.js';
import { SwitchOff } from './switch-off.js';
import type { Trace } from './trace.js';
import { FIXED_KEYS } from './workload.js';

export interface NemesisOptions {
  readonly scheduler: SimScheduler;
  readonly network: SimNetwork;
  readonly http: SimHttp;
  readonly nodes: readonly SimNode[];
  readonly random: SimRandom;
  readonly faults: ReadonlySet<Fault>;
  /** Keys that clients work on: their slots are the ones to move. */
  readonly keys: readonly string[];
  /** Makes clients turn to their keys in these slots at once. */
  readonly hurry: (slots: SlotRanges, what: Haste) => void;
  readonly leaders: () => readonly ReplicaView[];
  /** Clients who know no other node read these keys there; null: some of these slots. */
  readonly readAt: (node: string, slots: SlotRanges, keys: readonly string[] | null) => void;
  /** Clients who know no other node write some keys of these slots there. */
  readonly renewAt: (node: string, slots: SlotRanges) => void;
  /** Clients who do not know this node write keys of these slots. Resolves with them when that is over. */
  readonly renewElsewhere: (node: string, slots: SlotRanges) => Promise<readonly string[]>;
  /** The last entry of a group that anybody has seen committed. */
  readonly committed: (group: GroupId) => { readonly index: number; readonly term: number } | null;
  /** Members of the smallest group. */
  readonly replicas: number;
  readonly trace: Trace;
  readonly failed: (what: string) => void;
}

/** What an admin call may be refused with when things go wrong. */
const EXPECTED: ReadonlySet<string> = new Set([
  'conflict',
  'no_leader',
  'unavailable',
  'outcome_unknown',
  'plan_impossible',
]);

/** A plan of thousands of slots takes long, and there are other things to see. */
const RESHARD_PAUSE_MS = 12_000;

const ASK_MS = 5_000;

/** Each takes some seconds, and other faults need whole networks and quick disks in between. */
const LATE_SYNC_PACE_MS = 12_000;
const STEER_PACE_MS = 2_000;
const SNAPSHOT_RACE_PACE_MS = 8_000;
const ROSTER_PACE_MS = 4_000;
const MID_STEP_PACE_MS = 3_000;
const OLD_COPY_PACE_MS = 6_000;
const READ_FLOOD_PACE_MS = 10_000;
const PLAN_OPTIONS_PACE_MS = 6_000;
const STILLBORN_PACE_MS = 8_000;
const DOUBT_PACE_MS = 5_000;
const MUFFLE_PACE_MS = 6_000;
const BALANCE_PACE_MS = 3_000;
const HEAT_PACE_MS = 1_000;

/** A plan that may pause no longer than this may fail for it. */
export const SHORT_PAUSE_MS = 150;
/** Time enough for a disk that is slow, or a leader that is lost: such a plan must not fail. */
const LONG_PAUSE_MS = 5_000;
/** Others are too short to copy anything in, often: imports are given up, and begun again over what they have left. */
const PAUSES_MS = [LONG_PAUSE_MS, LONG_PAUSE_MS, 10, 40, SHORT_PAUSE_MS] as const;
/** No disk here is as quick as that: each of these plans has to give up some day, and must not take for ever (F62). */
const HOPELESS_PAUSES_MS = [1] as const;

/** Around some of the keys that lists have to show: one in two or three hundred slots has one. */
function listedRange(random: SimRandom): string {
  const first = slotOfKey(Buffer.from(random.pick(FIXED_KEYS)));
  return `${first}-${Math.min(SLOT_COUNT - 1, first + random.int(0, 1_000))}`;
}

type Answer = { ok: true; value: { id: string } } | { ok: false; error: { code: string; detail: string } };

export class Nemesis {
  readonly #options: NemesisOptions;
  readonly #random: SimRandom;
  readonly #pace_ms: number;
  readonly #shuttlePace_ms: number;
  readonly #pauses_ms: readonly number[];
  readonly #ranges: readonly string[];
  readonly #coup: Coup;
  readonly #ambush: Ambush;
  readonly #changeAmbush: ChangeAmbush;
  readonly #disks: DiskNemesis;
  readonly #doubt: Doubt;
  readonly #heirs: Heirs;
  readonly #lateSteps: LateSteps;
  readonly #lateSync: LateSync;
  readonly #snapshotRace: SnapshotRace;
  readonly #operator: Operator;
  readonly #roster: RosterNemesis;
  readonly #midStep: MidStep;
  readonly #muffle: Muffle;
  readonly #planOptions: PlanOptions;
  readonly #autoBalance: AutoBalance;
  readonly #stillborn: Stillborn;
  readonly #switchOff: SwitchOff;
  readonly #calls: OpenCalls;
  readonly #strikes: readonly Fault[];
  #lastReshard_ms = Number.NEGATIVE_INFINITY;
  #active = true;

  constructor(options: NemesisOptions) {
    this.#options = options;
    const random = options.random.fork('nemesis');
    this.#random = random;
    this.#calls = new OpenCalls(options.scheduler);
    this.#pace_ms = random.between(800, 6_000);
    this.#shuttlePace_ms = random.between(100, 1_500);
    this.#pauses_ms = options.random.fork('pauses').chance(0.15) ? HOPELESS_PAUSES_MS : PAUSES_MS;
    this.#ranges = this.#drawRanges();
    this.#coup = new Coup({
      ...options,
      random: random.fork('coup'),
      renewAt: (node, shard) => options.renewAt(node, this.#slotsOf(shard)),
      bounce: (node) => this.#bounce(node),
    });
    this.#ambush = new Ambush({
      ...options,
      random: random.fork('ambush'),
      handOver: (view) => this.#handOver(view),
    });
    this.#changeAmbush = new ChangeAmbush({
      ...options,
      random: random.fork('change ambush'),
      handOver: (view) => this.#handOver(view),
      bounce: (view) => this.#bounce(this.#node(view.node)),
    });
    this.#strikes = STRIKES.filter((fault) => options.faults.has(fault));
    this.#disks = new DiskNemesis({
      ...options,
      random: random.fork('disks'),
      membersChange: options.faults.has('members') || options.faults.has('auto_balance'),
      spared: (node) => options.faults.has('members') && !this.#roster.mayLose(node),
      reviveWithin: (node, limit_ms) => this.#reviveWithin(node, limit_ms),
    });
    this.#doubt = new Doubt({
      ...options,
      random: random.fork('doubt'),
      readAt: (node, shard, keys) => options.readAt(node, this.#slotsOf(shard), keys),
      renewElsewhere: (node, shard) => options.renewElsewhere(node, this.#slotsOf(shard)),
      handOver: (view, to) => this.#handOver(view, to),
    });
    this.#heirs = new Heirs({
      ...options,
      random: random.fork('heirs'),
      bounce: (node) => this.#bounce(this.#node(node)),
      handOver: (view, to) => this.#handOver(view, to),
    });
    this.#muffle = new Muffle({
      ...options,
      random: random.fork('muffle'),
      crash: (node) => this.#crash([this.#node(node)], 'power-cut'),
    });
    this.#lateSteps = new LateSteps({ ...options, random: random.fork('late steps') });
    this.#lateSync = new LateSync({
      ...options,
      random: random.fork('late sync'),
      powerCut: (node) => this.#crash([node], 'power-cut'),
    });
    this.#snapshotRace = new SnapshotRace({ ...options, random: random.fork('snapshot race') });
    this.#operator = new Operator({ ...options, random: random.fork('operator') });
    this.#roster = new RosterNemesis({
      ...options,
      random: random.fork('roster'),
      harm: options.faults.has('members_harm'),
      revive: (node) => this.revive(node),
    });
    this.#planOptions = new PlanOptions({
      ...options,
      random: random.fork('plan options'),
      calls: this.#calls,
      pauses_ms: [null, ...this.#pauses_ms],
      slowDisks: options.faults.has('slow_disk'),
    });
    this.#autoBalance = new AutoBalance({ ...options, random: random.fork('auto balance'), calls: this.#calls });
    this.#stillborn = new Stillborn({ ...options, random: random.fork('stillborn') });
    this.#switchOff = new SwitchOff({ ...options, random: random.fork('switch off') });
    this.#midStep = new MidStep({
      ...options,
      random: random.fork('mid step'),
      revive: (node) => this.revive(node),
    });
    const { faults, network, http } = options;
    network.setFaults(networkFaults(faults, random));
    http.faults.loss = faults.has('client_loss') ? random.between(0.01, 0.2) : 0;
    http.faults.delayMax_ms = faults.has('slow_network') ? 30 : 3;
  }

  start(): void {
    if (this.#strikes.length > 0) this.#repeat(this.#pace_ms, () => this.#strike());
    const { faults } = this.#options;
    if (faults.has('shuttle')) this.#repeat(this.#shuttlePace_ms, () => this.#shuttle());
    if (faults.has('transfer')) this.#repeat(2_000, () => this.#transfer());
    if (faults.has('coup')) this.#repeat(2 * this.#pace_ms, () => this.#coup.begin());
    if (faults.has('doubt')) this.#repeat(DOUBT_PACE_MS, () => this.#doubt.begin());
    if (faults.has('muffle')) this.#repeat(MUFFLE_PACE_MS, () => this.#muffle.begin());
    if (faults.has('stillborn')) this.#repeat(STILLBORN_PACE_MS, () => this.#stillborn.begin());
    if (faults.has('late_sync')) this.#repeat(LATE_SYNC_PACE_MS, () => this.#lateSync.begin());
    if (faults.has('members')) this.#repeat(ROSTER_PACE_MS, () => this.#roster.begin());
    if (faults.has('steer')) this.#repeat(STEER_PACE_MS, () => this.#operator.begin());
    if (faults.has('snapshot_race')) this.#repeat(SNAPSHOT_RACE_PACE_MS, () => this.#snapshotRace.begin());
    if (faults.has('old_copy')) this.#repeat(OLD_COPY_PACE_MS, () => this.#disks.strike('old_copy', this.#follower()));
    if (faults.has('read_flood'))
      this.#repeat(READ_FLOOD_PACE_MS, () => floodWithReads(this.#anyNode(), this.#random, this.#options.trace));
    if (faults.has('mid_step')) this.#repeat(MID_STEP_PACE_MS, () => this.#midStep.strike(this.#anyNode()));
    if (faults.has('plan_options')) this.#repeat(PLAN_OPTIONS_PACE_MS, () => this.#planOptions.begin());
    if (faults.has('auto_balance')) {
      this.#repeat(BALANCE_PACE_MS, () => this.#autoBalance.begin());
      this.#repeat(HEAT_PACE_MS, () => this.#autoBalance.heat());
    }
  }

  /** Nothing that it has asked for can begin any more, and what it has had the cluster do by itself is over, once it is calm. */
  get hasLetGo(): boolean {
    return this.#calls.none && (!this.#actsByItself || this.#switchOff.over);
  }

  /** Settings are changed of what a cluster does by itself, or a node may stay away for good while they may be. */
  get #actsByItself(): boolean {
    const { faults } = this.#options;
    return faults.has('auto_balance') || faults.has('members_harm');
  }

  /** A replica wants to lead, has become leader, or has committed something, or changed its configuration, as one. */
  leads(view: ReplicaView, what: LeaderEvent): void {
    if (!this.#active) return;
    if (what === 'campaigns') {
      this.#stillborn.campaigns(view);
      this.#doubt.campaigns(view);
    } else if (what === 'reconfigured') {
      if (this.#options.faults.has('muffle')) this.#muffle.reconfigured(view);
    } else if (what === 'elected') {
      this.#coup.elected(view);
      this.#lateSync.elected(view);
    } else {
      this.#coup.committed(view);
      this.#snapshotRace.committed(view);
      this.#changeAmbush.committed(view);
      this.#doubt.committed(view);
    }
  }

  /** A shard has applied a command, which nobody had applied before. */
  applied(command: KvCommand, answer: KvResult, group: number): void {
    if (!this.#active) return;
    this.#ambush.applied(command, answer, group);
    this.#lateSteps.applied(command, answer, group);
    if (this.#options.faults.has('heir')) this.#heirs.applied(command, answer, group);
  }

  #repeat(pace_ms: number, strike: () => void): void {
    if (!this.#active) return;
    this.#options.scheduler.after(this.#random.between(0.2, 1.8) * pace_ms, () => {
      if (!this.#active) return;
      strike();
      this.#repeat(pace_ms, strike);
    });
  }

  #strike(): void {
    const what = this.#random.pick(this.#strikes);
    const node = this.#random.pick(this.#options.nodes);
    switch (what) {
      case 'kill':
        return this.#crash([node], 'kill');
      case 'power_cut':
        return this.#crash([node], 'power-cut');
      case 'all_down':
        return this.#crash(this.#options.nodes, this.#random.chance(0.3) ? 'kill' : 'power-cut');
      case 'bounce':
        return this.#bounce(node);
      case 'pause':
        return this.#pause(node);
      case 'partition':
      case 'one_way':
      case 'bridge':
        return this.#partition(what);
      case 'wall_jump':
        this.#options.trace.add('nemesis', `wall clock of ${node.id} jumps`);
        return node.clock?.jumpWall(this.#random.between(-20_000, 20_000));
      case 'reshard':
        return this.#reshard(node);
      case 'disk_stall':
      case 'disk_full':
      case 'sync_failure':
      case 'rot':
      case 'wipe':
        return this.#disks.strike(what, this.#random.chance(0.5) ? this.#leaderOr(node) : node);
      default:
      // None of STRIKES.
    }
  }

  /** A leader hands over to another member (F15). */
  #transfer(): void {
    const views = this.#options.leaders();
    if (views.length > 0) this.#handOver(this.#random.pick(views));
  }

  #handOver({ node, group, replica }: ReplicaView, to = this.#random.pick(replica.members).node): void {
    this.#options.trace.add('nemesis', `asks ${node} to hand group ${group} over to ${to}`);
    this.#node(node).clock?.run(() => replica.transferLeader(to));
  }

  #node(id: string): SimNode {
    return this.#options.nodes.find((node) => node.id === id)!;
  }

  #crash(nodes: readonly SimNode[], kind: 'kill' | 'power-cut'): void {
    for (const node of nodes) {
      node.crash(kind);
      this.#reviveWithin(node, 5_000);
    }
  }

  /** Down and up again at once: before others notice, and before what they have sent it has come. */
  #bounce(node: SimNode): void {
    node.crash(this.#random.chance(0.5) ? 'kill' : 'power-cut');
    this.#reviveWithin(node, this.#random.pick([5, 50, 500]));
  }

  #reviveWithin(node: SimNode, limit_ms: number): void {
    this.#options.scheduler.after(this.#random.between(1, limit_ms), () => this.revive(node));
  }

  /** Its process has ended by itself. */
  ended(node: SimNode): void {
    this.#disks.ended(node);
  }

  revive(node: SimNode): void {
    if (!node.up)
      node
        .start()
        .catch((error: unknown) => this.#options.failed(`${node.id} does not start: ${(error as Error).stack}`));
  }

  /** A node that leads something, if there is one: its absence is felt. */
  #leaderOr(node: SimNode): SimNode {
    const leaders = this.#options.leaders();
    if (leaders.length === 0 || this.#random.chance(0.3)) return node;
    const { node: id } = this.#random.pick(leaders);
    return this.#options.nodes.find((candidate) => candidate.id === id) ?? node;
  }

  /** One that leads least: a leader that stays can find out what the others have forgotten. */
  #follower(): SimNode {
    const led = (node: SimNode): number => this.#options.leaders().filter((view) => view.node === node.id).length;
    const nodes = this.#random.shuffle(this.#options.nodes);
    return this.#random.chance(0.3)
      ? nodes[0]!
      : nodes.reduce((least, node) => (led(node) < led(least) ? node : least));
  }

  /** Of a shard, by the newest map that anybody has. */
  #slotsOf(shard: number): SlotRanges {
    return newestMap(this.#options.nodes)?.shards.find(({ id }) => id === shard)?.slots ?? [];
  }

  #anyNode(): SimNode {
    const node = this.#random.pick(this.#options.nodes);
    return this.#random.chance(0.5) ? this.#leaderOr(node) : node;
  }

  #pause(node: SimNode): void {
    const { network, nodes, scheduler, trace } = this.#options;
    const paused = this.#leaderOr(node);
    const clock = paused.clock;
    if (clock === null) return;
    const pause_ms = this.#random.between(50, 4_000);
    // Some wake up with nobody there to tell them what has happened meanwhile, as after a virtual machine's migration.
    const alone_ms = this.#random.chance(0.5) ? this.#random.between(0, 2_000) : null;
    trace.add('nemesis', `${paused.id} pauses${alone_ms === null ? '' : ' and is cut off'}`);
    clock.pause();
    scheduler.after(pause_ms, () => clock.resume());
    if (alone_ms === null) return;
    network.isolate(paused.id, nodes);
    scheduler.after(pause_ms + alone_ms, () => network.heal());
  }

  #partition(how: 'partition' | 'one_way' | 'bridge'): void {
    const { network, scheduler, trace } = this.#options;
    const first = this.#leaderOr(this.#random.pick(this.#options.nodes)).id;
    const others = this.#options.nodes.flatMap(({ id }) => (id === first ? [] : [id]));
    const ids = [first, ...this.#random.shuffle(others)];
    const cut = this.#random.chance(0.5) ? 1 : this.#random.int(1, ids.length - 1);
    trace.add('nemesis', `${how} of ${ids.slice(0, cut)} from ${ids.slice(cut)}`);
    if (how === 'partition') network.split(ids.slice(0, cut), ids.slice(cut));
    else if (how === 'bridge') network.bridge(ids[0]!, ids.slice(1, 2), ids.slice(2));
    else for (const a of ids.slice(0, cut)) for (const b of ids.slice(cut)) network.partition(a, b, true);
    scheduler.after(this.#random.between(200, 6_000), () => {
      trace.add('nemesis', 'partitions heal');
      network.heal();
    });
  }

  // ------------------------------------------------------------------------------------------------------ slots that move

  /**
   * A few ranges, so that the same slots go back and forth: the first around one that is worked on, some of the others
   * around none: an old message can do most where nothing has changed since.
   */
  #drawRanges(): readonly string[] {
    const random = this.#random;
    const ranges = Array.from({ length: random.int(1, 3) }, (_, i) => {
      const worked = i === 0 || random.chance(0.3);
      const middle = worked ? slotOfKey(Buffer.from(random.pick(this.#options.keys))) : random.int(0, SLOT_COUNT - 1);
      const [before, after] = [random.int(0, 20), random.int(0, 20)];
      return `${Math.max(0, middle - before)}-${Math.min(SLOT_COUNT - 1, middle + after)}`;
    });
    const listed = this.#options.random.fork('listed ranges');
    return listed.chance(0.4) ? [...ranges, listedRange(listed)] : ranges;
  }

  #shuttle(): void {
    const node = this.#random.pick(this.#options.nodes);
    const map = node.node?.maps.map;
    const admin = node.node?.admin;
    if (map === null || map === undefined || admin === undefined) return;
    const slots = this.#random.pick(this.#ranges);
    const first = Number.parseInt(slots, 10);
    // Mostly between two shards: what comes back to where it was is what old messages can harm (F60).
    const near = this.#random.chance(0.7) ? map.shards.slice(0, 2) : map.shards;
    const others = near.filter((shard) => !shard.slots.some(([from, to]) => from <= first && first <= to));
    if (others.length === 0) return;
    const to = `s${this.#random.pick(others).id}`;
    // Rounds that come to nothing are what steps can be late of.
    const max_pause_ms = this.#options.faults.has('late_step') ? this.#random.pick(this.#pauses_ms) : LONG_PAUSE_MS;
    this.#options.trace.add('nemesis', `asks ${node.id} to move ${slots} to ${to}`);
    node.clock?.run(() => {
      const asked = admin.move({ slots, to, dry_run: false, max_pause_ms }, ASK_MS);
      void this.#calls.track(asked, ASK_MS).then((answer) => {
        // The shard may have been retired since this node's map was looked at; the refusal is right if it is gone here too.
        const gone = node.node?.maps.map?.shards.every((shard) => `s${shard.id}` !== to) ?? true;
        this.#heard(answer, gone ? 'not_found' : null);
      });
    });
  }

  #reshard(node: SimNode): void {
    const { scheduler, trace } = this.#options;
    const admin = node.node?.admin;
    if (admin === undefined || scheduler.now_ms - this.#lastReshard_ms < RESHARD_PAUSE_MS) return;
    this.#lastReshard_ms = scheduler.now_ms;
    const shards = this.#random.int(1, 4);
    const max_pause_ms = this.#random.pick(this.#pauses_ms);
    trace.add('nemesis', `asks ${node.id} for ${shards} shards, pausing for ${max_pause_ms} ms`);
    node.clock?.run(() => {
      const asked = admin.reshard({ shards, dry_run: false, max_pause_ms }, ASK_MS);
      void this.#calls.track(asked, ASK_MS).then((answer) => this.#heard(answer));
    });
  }

  #heard(answer: Answer, also: string | null = null): void {
    this.#options.trace.add('nemesis', answer.ok ? `plan ${answer.value.id} starts` : `refused: ${answer.error.code}`);
    if (!answer.ok && answer.error.code !== also && !EXPECTED.has(answer.error.code)) {
      this.#options.failed(`an admin call was refused with ${answer.error.code}: ${answer.error.detail}`);
    }
  }

  /** From here on nothing goes wrong any more, and whatever is down comes back. */
  calm(): void {
    this.#active = false;
    this.#coup.end();
    this.#lateSync.end();
    this.#stillborn.end();
    this.#doubt.end();
    this.#muffle.end();
    this.#snapshotRace.end();
    this.#midStep.end();
    this.#disks.end();
    this.#planOptions.end();
    if (this.#options.faults.has('steer')) this.#operator.calm();
    const { network, http, nodes, trace } = this.#options;
    trace.add('nemesis', 'calm');
    network.setFaults({
      loss: 0,
      duplicate: 0,
      reorder: 0,
      reset: 0,
      held: 0,
      late: 0,
      torn: 0,
      delayMin_ms: 0.1,
      delayMax_ms: 1,
    });
    network.heal();
    network.letGo();
    http.faults.loss = 0;
    http.faults.delayMax_ms = 1;
    for (const node of nodes) {
      node.clock?.resume();
      node.limitDisk(Number.POSITIVE_INFINITY);
      node.setSyncLatency(null);
      this.revive(node);
    }
    if (this.#actsByItself) this.#switchOff.begin();
  }
}
