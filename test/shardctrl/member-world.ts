/**
 * A controller, groups whose members change, nodes that come and go, and drivers of members in simulated time, over a network
 * that loses, repeats and delays as told. Groups are configurations without logs: what is replicated in a real one is here an
 * object that is never lost, and each step is judged as a group's leader judges it. Every change of a configuration is checked:
 * it leaves a majority, and no replica comes back.
 */
import { nextConf } from '../../src/raft/core/confchange.js';
import {
  type ConfChange,
  type ConfState,
  type GroupId,
  index,
  type NodeId,
  type ReplicaId,
  term,
} from '../../src/raft/index.js';
import {
  type ControllerCommand,
  type ControllerPort,
  type ControllerProposed,
  type ControllerView,
  type DriverSettings,
  groupOf,
  groupsOf,
  MemberDriver,
  type MemberStep,
  type Membership,
  type NewcomerProgress,
  type Remains,
  type ShardMember,
  type ShardPort,
  ShardUnavailable,
  type StepAnswer,
} from '../../src/shardctrl/index.js';
import { SimClock, SimScheduler } from '../sim/fakes/clock.js';
import { SimRandom } from '../sim/fakes/random.js';
import type { Fate } from './driver-world.js';
import { MemoryController, nodesOf } from './memory-controller.js';

export interface MemberCall {
  /** Counts all calls of all drivers, from 1. */
  readonly number: number;
  /** `propose change_members`, `membership`, `step transfer`, `confirm`, … */
  readonly what: string;
  readonly group: GroupId;
  readonly office: MemberOffice;
}

export interface MemberOffice {
  readonly driver: MemberDriver;
  /** What it still believes after it was cut off; null: it leads. */
  cutOff: ControllerView | null;
}

interface FakeGroup {
  readonly id: GroupId;
  conf: ConfState;
  confIndex: number;
  leader: ReplicaId;
  term: number;
  /** Replicas that were members once and are no more. */
  readonly left: Set<ReplicaId>;
}

/** What a node holds of a group. */
interface FakeReplica {
  readonly id: ReplicaId;
  readonly since_ms: number;
  sound: boolean;
}

const ARRIVES: Fate = {};
/** Until a new replica has what it needs. */
const FILL_MS = 150;
const LEAVE_JOINT_MS = 10;
/** Until a node acts on a new map. */
const FOLLOW_MS = 20;
const SUCCESSION_MS = 100;

export class MemberWorld {
  readonly scheduler = new SimScheduler();
  readonly clock = new SimClock(this.scheduler);
  readonly random = new SimRandom(1);
  readonly controller: MemoryController;
  readonly groups = new Map<GroupId, FakeGroup>();
  readonly calls: string[] = [];
  /** Every effect, in words: what a failing test shows. */
  readonly story: string[] = [];
  /** Decides over every call; tests replace it. */
  fate: (call: MemberCall) => Fate = () => ARRIVES;
  leader: MemberOffice | null = null;
  /** Nodes that the drivers do not hear, while their groups do. */
  readonly hidden = new Set<NodeId>();
  /** Nodes that answer, and whose new replicas do not work. */
  readonly broken = new Set<NodeId>();
  /** A majority of the group knows of its configuration for good. */
  settled: (group: GroupId) => boolean = () => true;
  /** How far a sound replica is that was made so long ago; it has caught up when it is not behind. */
  filled: (node: NodeId, age_ms: number) => Omit<NewcomerProgress, 'id'> = (_, age_ms) =>
    age_ms < FILL_MS ? { match: 0, behind: 100, frames: 0 } : { match: 100, behind: 0, frames: 0 };
  readonly #settings: Partial<DriverSettings>;
  readonly #downSince_ms = new Map<NodeId, number>();
  readonly #replicas = new Map<NodeId, Map<GroupId, FakeReplica>>();
  #number = 0;
  #index = 100;

  private constructor(controller: MemoryController, settings: Partial<DriverSettings>) {
    this.controller = controller;
    this.#settings = settings;
    for (const { id } of controller.map.nodes) this.#replicas.set(id, new Map());
    for (const [group, { members }] of groupsOf(controller.map)) {
      const voters = members.map(({ node, replica }) => ({ node, id: replica }));
      const conf = { voters, outgoing: [], learners: [], learnersNext: [], autoLeave: false };
      this.groups.set(group, { id: group, conf, confIndex: 1, leader: voters[0]!.id, term: 1, left: new Set() });
      for (const { node, replica } of members) this.#hold(node, group, replica, -FILL_MS);
    }
    controller.machine.onChange(() => this.#follow());
  }

  /** Nodes n1… with shards s1… of three members each, and further nodes that are empty. */
  static async make(
    nodes: number,
    shards: number,
    more: number,
    settings: Partial<DriverSettings> = {},
  ): Promise<MemberWorld> {
    const controller = await MemoryController.cluster(nodes, shards);
    for (const node of nodesOf(nodes + more).slice(nodes)) controller.apply({ kind: 'register_node', node });
    return new MemberWorld(controller, settings);
  }

  // -------------------------------------------------------------------------------------------------------------- nodes

  goDown(node: NodeId): void {
    this.#tell(`${node} goes down`);
    this.#downSince_ms.set(node, this.clock.monotonic_ms());
  }

  comeBack(node: NodeId): void {
    this.#tell(`${node} comes back`);
    this.#downSince_ms.delete(node);
    this.#followSoon(node);
  }

  isUp(node: NodeId): boolean {
    return !this.#downSince_ms.has(node);
  }

  /** The node's replica of the group does not work, as long as it is this one. */
  spoil(node: NodeId, group: GroupId): void {
    const replica = this.#replicas.get(node)?.get(group);
    if (replica !== undefined) replica.sound = false;
  }

  #isHeard(node: NodeId): boolean {
    return this.isUp(node) && !this.hidden.has(node);
  }

  holds(node: NodeId, group: GroupId): boolean {
    return this.#replicas.get(node)?.has(group) === true;
  }

  #hold(node: NodeId, group: GroupId, id: ReplicaId, since_ms: number): void {
    const held = this.#replicas.get(node) ?? new Map<GroupId, FakeReplica>();
    this.#replicas.set(node, held);
    held.set(group, { id, since_ms, sound: !this.broken.has(node) });
  }

  /** Nodes make and remove replicas as the map says, as soon as they hear of it. */
  #follow(): void {
    for (const { id } of this.controller.map.nodes) this.#followSoon(id);
  }

  #followSoon(node: NodeId): void {
    this.scheduler.after(FOLLOW_MS, () => {
      const { map } = this.controller;
      if (!this.isUp(node) || map.gone.includes(node)) return;
      for (const [group, { members, joining }] of groupsOf(map)) {
        const own = [...joining, ...members].find((member) => member.node === node);
        const held = this.#replicas.get(node)?.get(group);
        if (held !== undefined && held.id !== own?.replica) this.#replicas.get(node)!.delete(group);
        if (own !== undefined && held?.id !== own.replica) this.#hold(node, group, own.replica, this.scheduler.now_ms);
      }
    });
  }

  #replicaOf(group: GroupId, { node, id }: { readonly node: NodeId; readonly id: ReplicaId }): FakeReplica | null {
    const replica = this.isUp(node) ? this.#replicas.get(node)?.get(group) : undefined;
    return replica?.id === id && replica.sound ? replica : null;
  }

  // ------------------------------------------------------------------------------------------------------------- groups

  #there(group: GroupId, list: ConfState['voters']): number {
    return list.filter((member) => this.#replicaOf(group, member) !== null).length;
  }

  #hasQuorum({ id, conf }: FakeGroup): boolean {
    return [conf.voters, conf.outgoing].every((list) => list.length === 0 || this.#there(id, list) * 2 > list.length);
  }

  /** null: it has no leader now. */
  #led(id: GroupId): FakeGroup | null {
    const group = this.groups.get(id);
    if (group === undefined || !this.#hasQuorum(group)) return null;
    const voters = group.conf.voters.filter((voter) => this.#replicaOf(id, voter) !== null);
    if (!voters.some((voter) => voter.id === group.leader)) this.#lead(group, voters[0]!.id);
    return group;
  }

  #lead(group: FakeGroup, leader: ReplicaId): void {
    group.leader = leader;
    group.term++;
    this.#tell(`group ${group.id} is led by ${leader}`);
    // The driver runs where the controller is led.
    if (group.id !== 0) return;
    this.crash();
    this.scheduler.after(SUCCESSION_MS, () => this.elect());
  }

  /** An order that an earlier driver has sent under the present configuration arrives. */
  order(id: GroupId, step: MemberStep): StepAnswer | null {
    return this.#step(id, this.groups.get(id)!.confIndex, step);
  }

  membershipOf(id: GroupId): Membership {
    const membership = this.#membership(id);
    if (membership === null) throw new Error(`group ${id} has no leader`);
    return membership;
  }

  #membership(id: GroupId): Membership | null {
    const group = this.#led(id);
    if (group === null) return null;
    const newcomers = group.conf.learners.map((member) => ({ id: member.id, ...this.#filled(id, member) }));
    const { conf, leader } = group;
    return {
      conf,
      confIndex: index(group.confIndex),
      settled: this.settled(id),
      leader,
      term: term(group.term),
      newcomers,
    };
  }

  #filled(group: GroupId, member: { readonly node: NodeId; readonly id: ReplicaId }): Omit<NewcomerProgress, 'id'> {
    const replica = this.#replicaOf(group, member);
    if (replica === null) return { match: 0, behind: 100, frames: 0 };
    return this.filled(member.node, this.scheduler.now_ms - replica.since_ms);
  }

  #step(id: GroupId, seenAt: number, step: MemberStep): StepAnswer | null {
    const group = this.#led(id);
    if (group === null) return null;
    const refused = (detail: string): StepAnswer => {
      this.#tell(`group ${id} refuses ${step.kind}: ${detail}`);
      return { kind: 'refused', detail };
    };
    if (seenAt !== group.confIndex) return refused('outdated');
    if (step.kind === 'transfer') {
      const heir = group.conf.voters.find(({ node }) => node === step.to);
      if (heir === undefined || this.#replicaOf(id, heir) === null) return refused(`${step.to} does not answer`);
      this.scheduler.after(LEAVE_JOINT_MS, () => this.#lead(group, heir.id));
      return { kind: 'begun' };
    }
    if (step.kind !== 'change') return refused('no step to take');
    const why = this.#objection(group, step.change);
    if (why !== null) return refused(why);
    this.#switch(group, step.change);
    if (group.conf.outgoing.length > 0) this.#leaveJoint(group);
    return { kind: 'begun' };
  }

  #objection(group: FakeGroup, change: ConfChange): string | null {
    if (group.conf.outgoing.length > 0) return 'a change is in progress';
    const after = new Map(group.conf.voters.map((voter) => [voter.id, voter]));
    for (const step of change.steps) {
      if (step.op === 'remove') after.delete(step.id);
      else if (step.op === 'add_voter') after.set(step.member.id, step.member);
      if (step.op !== 'add_voter') continue;
      if (this.#filled(group.id, step.member).behind > 0) return 'a learner is behind';
    }
    const voters = [...after.values()];
    if (this.#there(group.id, voters) * 2 <= voters.length) return 'a majority of those left does not answer';
    const next = nextConf(group.conf, change);
    return next.ok ? null : next.detail;
  }

  #leaveJoint(group: FakeGroup): void {
    this.scheduler.after(LEAVE_JOINT_MS, () => {
      if (this.#hasQuorum(group)) this.#switch(group, { steps: [], transition: 'auto' });
      else this.#leaveJoint(group);
    });
  }

  #switch(group: FakeGroup, change: ConfChange): void {
    const next = nextConf(group.conf, change);
    if (!next.ok) throw new Error(next.detail);
    const known = (conf: ConfState): Set<ReplicaId> =>
      new Set([...conf.voters, ...conf.outgoing, ...conf.learners].map(({ id }) => id));
    const [before, after] = [known(group.conf), known(next.conf)];
    for (const id of before) if (!after.has(id)) group.left.add(id);
    group.conf = next.conf;
    group.confIndex = ++this.#index;
    const text = (list: ConfState['voters']): string => list.map(({ node, id }) => `${node}/${id}`).join(' ');
    const { voters, outgoing, learners } = group.conf;
    this.#tell(`group ${group.id} is [${text(voters)}] [${text(outgoing)}] [${text(learners)}]`);
    for (const id of after) if (group.left.has(id)) this.#fail(`replica ${id} of group ${group.id} comes back (F24)`);
    if (!this.#hasQuorum(group)) this.#fail(`group ${group.id} has lost its majority`);
  }

  // ------------------------------------------------------------------------------------------------------------ drivers

  elect(): MemberOffice {
    if (this.leader !== null) this.crash();
    const office = { cutOff: null } as MemberOffice & { driver: MemberDriver };
    office.driver = new MemberDriver({
      clock: this.clock,
      shards: this.#shardPort(office),
      controller: this.#controllerPort(office),
      event: (level, text) => this.#tell(`${level}: ${text}`),
      healthy: (node) => this.#isHeard(node),
      downFor_ms: (node) => this.#downFor_ms(node),
      steady: (node) => this.#isHeard(node),
      confirm: () => this.#call(office, 'confirm', 0, 500, () => office.cutOff === null, false),
      settings: this.#settings,
    });
    this.leader = office;
    this.#tell('a driver takes office');
    office.driver.start();
    return office;
  }

  #downFor_ms(node: NodeId): number | null {
    const since_ms = this.#downSince_ms.get(node);
    return since_ms === undefined ? null : this.clock.monotonic_ms() - since_ms;
  }

  /** The process is gone. */
  crash(): void {
    this.leader?.driver.stop();
    this.cutOff();
  }

  /** It no longer leads and does not know it: it acts on what it last saw. */
  cutOff(): void {
    if (this.leader === null) return;
    const { machine } = this.controller;
    const [map, changes, settings] = [machine.map(), machine.changes(), machine.settings()];
    this.leader.cutOff = {
      map: () => map,
      runningPlan: () => null,
      batches: () => [],
      changes: () => changes,
      tombstones: () => new Map(),
      settings: () => settings,
    };
    this.leader = null;
  }

  #fateOf(what: string, group: GroupId, office: MemberOffice): Fate {
    this.calls.push(what);
    return this.fate({ number: ++this.#number, what, group, office });
  }

  #latency(): number {
    return this.random.between(0.5, 3);
  }

  apply(command: ControllerCommand) {
    const result = this.controller.apply(command, this.clock.monotonic_ms());
    this.#tell(`${JSON.stringify(command)}: ${result.kind}`);
    return result;
  }

  #controllerPort(office: MemberOffice): ControllerPort {
    return {
      state: () => office.cutOff ?? this.controller.machine,
      onChange: (listener) => this.controller.machine.onChange(() => office.cutOff === null && listener()),
      propose: (command) => {
        const unknown: ControllerProposed = { kind: 'unknown' };
        const work = (): ControllerProposed => {
          if (office.cutOff !== null) return { kind: 'refused' };
          return { kind: 'applied', result: this.apply(command), index: this.controller.index };
        };
        // What is in the log is applied, whoever put it there.
        const late = (): void => void this.apply(command);
        return this.#call(office, `propose ${command.kind}`, 0, 500, work, unknown, late);
      },
    };
  }

  /** `unanswered`: in place of an answer that does not come in time. */
  #call<T>(
    office: MemberOffice,
    what: string,
    group: GroupId,
    timeout_ms: number,
    work: () => T | null,
    unanswered: T,
    late: () => void = work,
  ): Promise<T> {
    return new Promise<T>((resolve) => {
      const fate = this.#fateOf(what, group, office);
      const timer = this.scheduler.after(timeout_ms, () => resolve(unanswered));
      if (fate.again_ms !== undefined) this.scheduler.after(fate.again_ms, late);
      if (fate.request === 'lost') return;
      this.scheduler.after(this.#latency(), () => {
        const done = work();
        if (done === null || fate.answer === 'lost') return;
        this.scheduler.after(this.#latency(), () => {
          timer.cancel();
          resolve(done);
        });
      });
    });
  }

  async #askGroup<T>(office: MemberOffice, what: string, group: GroupId, timeout_ms: number, work: () => T | null) {
    const answer = await this.#call<T | null>(office, what, group, timeout_ms, work, null);
    if (answer === null) throw new ShardUnavailable(`group ${group} did not answer ${what}`);
    return answer;
  }

  #shardPort(office: MemberOffice): ShardPort {
    const none = (): Promise<never> => Promise.reject(new ShardUnavailable('no slots here'));
    return {
      // The driver of members asks for none of these.
      slotCommand: none,
      copy: none,
      slotStats: none,
      purged: none,
      ready: none,
      reclaim: none,
      membership: (group, timeout_ms) =>
        this.#askGroup(office, 'membership', group, timeout_ms, () => this.#membership(group)),
      memberStep: (group, seenAt, step, timeout_ms) =>
        this.#askGroup(office, `step ${step.kind}`, group, timeout_ms, () => this.#step(group, seenAt, step)),
      sound: (group, member, timeout_ms) =>
        this.#call<boolean | null>(office, 'sound', group, timeout_ms, () => this.#isSound(group, member), null),
      remains: (group, members, timeout_ms) => {
        const silent: Remains = { hosting: [], silent: members.map(({ node }) => node) };
        return this.#call(office, 'remains', group, timeout_ms, () => this.#remains(group, members), silent);
      },
    };
  }

  #isSound(group: GroupId, { node, replica }: ShardMember): boolean | null {
    if (!this.#isHeard(node)) return null;
    const held = this.#replicas.get(node)?.get(group);
    return held?.id === replica && held.sound;
  }

  #remains(group: GroupId, members: readonly ShardMember[]): Remains {
    const nodes = members.map(({ node }) => node);
    const up = nodes.filter((node) => this.isUp(node));
    return {
      hosting: up.filter((node) => this.holds(node, group)),
      silent: nodes.filter((node) => !this.isUp(node)),
    };
  }

  // ---------------------------------------------------------------------------------------------------------------- ends

  async until(condition: () => boolean, what: string, limit_ms = 300_000): Promise<void> {
    const held = await this.scheduler.runWhile(() => !condition(), this.scheduler.now_ms + limit_ms);
    if (!held) this.#fail(what);
  }

  /** No change is under way, and each group is what the map says, on nodes that are there. */
  isSettled(): boolean {
    if (this.controller.machine.changes().length > 0) return false;
    return [...this.groups.values()].every(({ id, conf }) => {
      const { members, joining } = groupOf(this.controller.map, id)!;
      const same = (list: readonly number[], other: readonly number[]): boolean => `${list}` === `${other}`;
      const sorted = (ids: readonly number[]): number[] => [...ids].sort((a, b) => a - b);
      return (
        joining.length === 0 &&
        conf.outgoing.length === 0 &&
        conf.learners.length === 0 &&
        same(sorted(conf.voters.map((voter) => voter.id)), sorted(members.map((member) => member.replica)))
      );
    });
  }

  nodesOf(group: GroupId): string[] {
    return groupOf(this.controller.map, group)!
      .members.map(({ node }) => node)
      .sort();
  }

  /** Nodes hold what the map gives them, and nothing else. */
  expectTidy(): void {
    if (!this.isSettled()) this.#fail('groups are not what the map says');
    for (const { id: node } of this.controller.map.nodes) {
      if (!this.isUp(node)) continue;
      for (const group of this.groups.keys()) {
        const named = this.nodesOf(group).includes(node);
        if (named !== this.holds(node, group)) this.#fail(`${node} ${named ? 'lacks' : 'keeps'} group ${group}`);
      }
    }
  }

  #tell(what: string): void {
    this.story.push(`${this.scheduler.now_ms.toFixed(0)} ${what}`);
  }

  #fail(what: string): never {
    throw new Error(`${what}; ${this.story.slice(-40).join('; ')}`);
  }
}
