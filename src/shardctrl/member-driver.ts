/**
 * The driver of members: runs on the controller's leader beside the driver of the plan. It carries out each change of
 * members that the controller's log holds, step by step (`member-change.ts`), and begins those that are due by themselves
 * (`member-repair.ts`). It keeps nothing in memory but who is busy with what, for how long a newcomer has been away, and which
 * nodes could not make one: a new office tries each of them once.
 *
 * It never undoes by silence: a change whose group has no leader waits. Only a newcomer that stays away is given up, so
 * that another node can take its place; a node that answers and makes no replica that works is left alone for a while, or it
 * would be chosen again, as the one that carries the least.
 */
import type { Clock, GroupId, NodeId, ReplicaId } from '../raft/index.js';
import { CatchUp } from './catch-up.js';
import type { ControllerPort, DriverEvents } from './driver-ports.js';
import { DRIVER_DEFAULTS, type DriverSettings } from './driver-settings.js';
import { type MemberChange, type MemberStep, type Membership, newcomersOf, nextMemberStep } from './member-change.js';
import { emptied, type MemberWish, nextLeaderWish, nextMemberWish, type RepairView } from './member-repair.js';
import { nextRebuild, type RebuildView, rebuildView } from './rebuild.js';
import { CONTROLLER_GROUP, groupOf, groupsOf, type ShardMap, type ShardMember, shardName } from './shard-map.js';
import type { ShardPort, StepAnswer } from './shard-port.js';
import { type Asker, FOREVER, Tenure, TenureOver, type TenureParts } from './tenure.js';

export interface MemberDriverOptions {
  readonly clock: Clock;
  readonly shards: ShardPort;
  /** Of this node, which leads it and has applied an entry of its own term. */
  readonly controller: ControllerPort;
  readonly event: DriverEvents;
  readonly healthy: (node: NodeId) => boolean;
  /** How long the node has been down; null: it is not. */
  readonly downFor_ms: (node: NodeId) => number | null;
  /** Healthy for so long that it can lead again. */
  readonly steady: (node: NodeId) => boolean;
  /** Makes sure that this node still leads the controller: what it knows of changes is not outdated. */
  readonly confirm: () => Promise<boolean>;
  readonly settings?: Partial<DriverSettings>;
}

const NOBODY_WAITS: Asker = { stalled: () => {} };
/** So often a leader is asked to hand over to the same one, before somebody else is. */
const TRANSFERS_MAX = 3;

/** What one office remembers of a change while it carries it out. */
interface Course {
  awaySince_ms: number | null;
  /** How newcomers get on, by replica. */
  readonly catchUps: Map<ReplicaId, CatchUp>;
  /** Transfers asked for, by node. */
  readonly transfers: Map<NodeId, number>;
}

/** Why a change is given up, and which nodes are not to be tried again soon. */
interface Hopeless {
  readonly reason: string;
  readonly shun: readonly NodeId[];
}

export class MemberDriver {
  readonly #options: MemberDriverOptions;
  #office: Office | null = null;

  constructor(options: MemberDriverOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#office === null) this.#office = new Office(this.#options);
  }

  /** At once: nothing is sent or proposed any more. */
  stop(): void {
    this.#office?.close();
    this.#office = null;
  }
}

class Office {
  readonly #options: MemberDriverOptions;
  readonly #tenure: Tenure;
  readonly #busy = new Set<GroupId>();
  /** Those whose leader does not answer: others need not wait for them. */
  readonly #stalled = new Set<GroupId>();
  /** Those whose newcomer comes no closer, and where it is: others need not wait for them, and nothing more is placed there. */
  readonly #lagging = new Map<GroupId, readonly NodeId[]>();
  /** By shard: not to be asked to hand over again before. */
  readonly #askedToHandOver = new Map<GroupId, number>();
  /** Nodes that answered and made no replica that works: nothing is placed there before. */
  readonly #shunnedUntil_ms = new Map<NodeId, number>();
  readonly #unsubscribe: () => void;
  #lookDue = false;
  #nextSpread_ms = Number.NEGATIVE_INFINITY;

  constructor(options: MemberDriverOptions) {
    const { clock, shards, controller, event, settings } = options;
    const parts: TenureParts = { clock, shards, controller, event, settings: { ...DRIVER_DEFAULTS, ...settings } };
    this.#options = options;
    this.#tenure = new Tenure(parts);
    this.#unsubscribe = controller.onChange(() => this.#wake());
    this.#wake();
    void this.#guard('what is due by itself', () => this.#repairForEver());
  }

  close(): void {
    this.#unsubscribe();
    this.#tenure.end();
  }

  /** Not within the round in which the controller applies. */
  #wake(): void {
    if (this.#lookDue || this.#tenure.over) return;
    this.#lookDue = true;
    this.#tenure.clock.soon(() => {
      this.#lookDue = false;
      if (!this.#tenure.over) this.#look();
    });
  }

  #look(): void {
    for (const change of this.#tenure.controller.state().changes()) {
      if (this.#busy.has(change.group)) continue;
      this.#busy.add(change.group);
      void this.#guard(`the members of ${nameOf(change.group)}`, async () => {
        await this.#carryOut(change.group);
        this.#busy.delete(change.group);
        this.#wake();
      });
    }
  }

  /** A task must not take the node down: what it was at is tried again from the state. */
  async #guard(what: string, task: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await task();
      } catch (error) {
        if (error instanceof TenureOver || this.#tenure.over) return;
        this.#tenure.event('error', `the driver stumbled over ${what}; it tries again`, { error });
        await this.#tenure.sleep(this.#tenure.settings.backOffLast_ms);
      }
    }
  }

  // ------------------------------------------------------------------------------------------------------- one change

  /** As it stands in the log now; null: it is over. */
  #changeOf(group: GroupId): MemberChange | null {
    return (
      this.#tenure.controller
        .state()
        .changes()
        .find((change) => change.group === group) ?? null
    );
  }

  async #carryOut(group: GroupId): Promise<void> {
    const course: Course = { awaySince_ms: null, catchUps: new Map(), transfers: new Map() };
    const asker: Asker = {
      stalled: (stalled) => void (stalled ? this.#stalled.add(group) : this.#stalled.delete(group)),
    };
    try {
      while (await this.#advance(group, course, asker)) await this.#tenure.sleep(this.#tenure.settings.memberPoll_ms);
    } finally {
      this.#lagging.delete(group);
      this.#stalled.delete(group);
    }
  }

  /** One look and at most one step. False: the change is over. */
  async #advance(group: GroupId, course: Course, asker: Asker): Promise<boolean> {
    const { shards } = this.#tenure;
    const patience = { ...FOREVER, enough: () => this.#changeOf(group) === null };
    const seen = await this.#tenure.ask(asker, (timeout_ms) => shards.membership(group, timeout_ms), patience);
    const change = this.#changeOf(group);
    if (seen === null || change === null) return false;
    this.#watchNewcomers(change, seen, course);
    const step = nextMemberStep(change, seen, this.#avoided(change, course));
    if (step.kind === 'done' || step.kind === 'taken') {
      const taken = step.kind === 'taken';
      await this.#tenure.propose({ kind: 'members_changed', change: change.id, taken });
      const what = change.givenUp === null || taken ? 'members have changed' : 'members are those of before';
      this.#tenure.event('info', what, { group, cause: change.cause });
      return false;
    }
    // Between two configurations there is no way back.
    if (step.kind === 'wait') return true;
    const hopeless = await this.#hopeless(change, course);
    if (hopeless !== null) {
      await this.#giveUp(change, hopeless);
      course.awaySince_ms = null;
      course.catchUps.clear();
    } else await this.#order(change, seen, step, course);
    return true;
  }

  async #order(change: MemberChange, seen: Membership, step: MemberStep, course: Course): Promise<void> {
    // A driver that leads no more, without knowing it, must not order what nobody wants any longer.
    if (!(await this.#options.confirm()) || this.#changeOf(change.group)?.id !== change.id) return;
    if (step.kind === 'transfer') course.transfers.set(step.to, (course.transfers.get(step.to) ?? 0) + 1);
    await this.#ask(change.group, seen, step);
  }

  /** null: no answer in time. */
  #ask(group: GroupId, { confIndex }: Membership, step: MemberStep): Promise<StepAnswer | null> {
    const order = (timeout_ms: number) => this.#tenure.shards.memberStep(group, confIndex, step, timeout_ms);
    return this.#tenure.ask(NOBODY_WAITS, order, { until_ms: this.#soon_ms(), enough: () => false });
  }

  #soon_ms(): number {
    return this.#tenure.clock.monotonic_ms() + this.#tenure.settings.call_timeout_ms;
  }

  #unhealthy(change: MemberChange): ReadonlySet<NodeId> {
    const nodes = [...change.before, ...change.target].map((member) => member.node);
    return new Set(nodes.filter((node) => !this.#options.healthy(node)));
  }

  /** To whom no leadership is handed: who is away, and who has not taken it. */
  #avoided(change: MemberChange, { transfers }: Course): ReadonlySet<NodeId> {
    const inVain = [...transfers].flatMap(([node, times]) => (times >= TRANSFERS_MAX ? [node] : []));
    return new Set([...this.#unhealthy(change), ...inVain]);
  }

  #watchNewcomers(change: MemberChange, { newcomers = [], term }: Membership, { catchUps }: Course): void {
    const { clock, settings } = this.#tenure;
    const late: NodeId[] = [];
    for (const { node, replica } of change.givenUp === null ? newcomersOf(change) : []) {
      const progress = newcomers.find(({ id }) => id === replica);
      if (progress === undefined) continue;
      const catchUp = catchUps.get(replica) ?? new CatchUp();
      catchUps.set(replica, catchUp);
      catchUp.note(progress, term, clock.monotonic_ms());
      if (catchUp.isLagging(settings.newcomerPatience_ms)) late.push(node);
    }
    if (late.length > 0) this.#lagging.set(change.group, late);
    else this.#lagging.delete(change.group);
  }

  /** A newcomer has been away for long, or its node is to go, or has not made a replica that works; null: none. */
  async #hopeless(change: MemberChange, course: Course): Promise<Hopeless | null> {
    const { clock, settings, controller, shards } = this.#tenure;
    if (change.givenUp !== null) return null;
    const newcomers = newcomersOf(change);
    const leaving = newcomers.filter(({ node }) => controller.state().map()?.draining.includes(node) === true);
    if (leaving.length > 0) return { reason: `${namesOf(leaving)} is to leave the cluster`, shun: [] };
    const asked = newcomers.map(async (member) => {
      const there = this.#options.healthy(member.node);
      return there && (await shards.sound(change.group, member, settings.call_timeout_ms)) === true;
    });
    const sound = await Promise.all(asked);
    this.#tenure.check();
    if (sound.every(Boolean)) {
      course.awaySince_ms = null;
      return this.#stuck(newcomers, course);
    }
    course.awaySince_ms ??= clock.monotonic_ms();
    if (clock.monotonic_ms() - course.awaySince_ms < settings.newcomerPatience_ms) return null;
    const failed = newcomers.filter((_, i) => !sound[i]);
    const reason = `${namesOf(failed)} had no replica that works for ${settings.newcomerPatience_ms / 1000} s`;
    // Who is away is passed over as long as it is, and deserves a try when it is back.
    return { reason, shun: failed.map(({ node }) => node).filter(this.#options.healthy) };
  }

  /** It is there, and gets nothing of what it needs. */
  #stuck(newcomers: readonly ShardMember[], { catchUps }: Course): Hopeless | null {
    const { catchUpPatience_ms } = this.#tenure.settings;
    const stuck = newcomers.filter(({ replica }) => catchUps.get(replica)?.isStuck(catchUpPatience_ms) === true);
    if (stuck.length === 0) return null;
    const reason = `${namesOf(stuck)} got no further with catching up for ${catchUpPatience_ms / 1000} s`;
    return { reason, shun: stuck.map(({ node }) => node) };
  }

  async #giveUp(change: MemberChange, { reason, shun }: Hopeless): Promise<void> {
    const { clock, settings, event } = this.#tenure;
    const { group, cause } = change;
    event('warn', 'a change of members is given up', { group, cause, reason, notAgainSoon: shun });
    for (const node of shun) this.#shunnedUntil_ms.set(node, clock.monotonic_ms() + settings.newcomerBackOff_ms);
    await this.#tenure.propose({ kind: 'give_up_members', change: change.id, reason });
  }

  #shunned(): Set<NodeId> {
    const now_ms = this.#tenure.clock.monotonic_ms();
    for (const [node, until_ms] of this.#shunnedUntil_ms) if (until_ms <= now_ms) this.#shunnedUntil_ms.delete(node);
    return new Set([...this.#shunnedUntil_ms.keys(), ...[...this.#lagging.values()].flat()]);
  }

  // ------------------------------------------------------------------------------------------------ due by themselves

  async #repairForEver(): Promise<void> {
    for (;;) {
      await this.#tenure.sleep(this.#tenure.settings.repairEvery_ms);
      await this.#repair();
    }
  }

  async #repair(): Promise<void> {
    const map = this.#tenure.controller.state().map();
    if (map === null) return;
    for (const node of emptied(map)) await this.#letGo(map, node);
    const view = this.#view();
    const underWay = view.changes.filter(({ group }) => !this.#stalled.has(group) && !this.#lagging.has(group));
    const wish = this.#wish(view, underWay);
    if (wish !== null) await this.#begin(view.map, wish);
    else if (underWay.length === 0) await this.#tend(view);
  }

  /**
   * One at a time: each is a copy of a shard, and the next is judged better when this one has ended. Of what is lost a few at
   * once: as long as it is, the next failure may be one too many.
   */
  #wish(view: RebuildView, underWay: readonly MemberChange[]): MemberWish | null {
    const { rebuildsMax } = this.#tenure.settings;
    const mayRebuild = underWay.length < rebuildsMax && underWay.every(({ rebuild }) => rebuild === true);
    const lost = mayRebuild ? nextRebuild(view) : null;
    return lost ?? (underWay.length === 0 ? nextMemberWish(view) : null);
  }

  /** Only among the members that it was found due for: a proposal may be late, or be carried out twice. */
  async #begin(map: ShardMap, wish: MemberWish): Promise<void> {
    const seen = groupOf(map, wish.group)!.members.map(({ replica }) => replica);
    const result = await this.#tenure.propose({ kind: 'change_members', ...wish, seen });
    if (result.kind !== 'change_started') return;
    const level = wish.rebuild === true ? 'warn' : 'info';
    this.#tenure.event(level, `members of ${nameOf(wish.group)} change: ${wish.cause}`, { ...wish });
  }

  /** Who should lead does so again as soon as it has been there for a while. One group at a time. */
  async #tend(view: RepairView): Promise<void> {
    const now_ms = this.#tenure.clock.monotonic_ms();
    if (now_ms < this.#nextSpread_ms) return;
    this.#nextSpread_ms = now_ms + this.#tenure.settings.spreadEvery_ms;
    const wish = nextLeaderWish(view);
    if (wish !== null) await this.#tenure.propose({ kind: 'prefer_leader', ...wish, pinned: false });
    for (const [group, { members }] of groupsOf(this.#tenure.controller.state().map() ?? view.map)) {
      if (view.busy.has(group)) continue;
      const seen = await this.#lookOnce(group);
      if (seen !== null && ((await this.#sweep(group, seen)) || (await this.#handOver(group, members[0]!, seen))))
        return;
    }
  }

  #lookOnce(group: GroupId): Promise<Membership | null> {
    const { shards, settings } = this.#tenure;
    const once = { until_ms: this.#soon_ms(), enough: () => false };
    const ask = (timeout_ms: number) => shards.membership(group, timeout_ms);
    return this.#tenure.ask(NOBODY_WAITS, ask, once, settings.call_timeout_ms);
  }

  /** A learner without a change that wants it: the order of a driver that has ended since came late. True: one is to go. */
  async #sweep(group: GroupId, seen: Membership): Promise<boolean> {
    if (seen.conf.learners.length === 0) return false;
    const target = seen.conf.voters.map(({ node, id }): ShardMember => ({ node, replica: id }));
    const step = nextMemberStep({ target }, seen, new Set());
    if (step.kind !== 'change' || !(await this.#options.confirm()) || this.#changeOf(group) !== null) return false;
    const answer = await this.#ask(group, seen, step);
    if (answer?.kind !== 'begun') return false;
    this.#tenure.event('info', `${nameOf(group)} lets go of a learner that nobody wants`, { group });
    return true;
  }

  /** True: it has begun. Not soon again, where it does not come about. */
  async #handOver(shard: GroupId, to: ShardMember, seen: Membership): Promise<boolean> {
    const { settings, clock } = this.#tenure;
    if (shard === CONTROLLER_GROUP || !this.#options.steady(to.node)) return false;
    if (!seen.conf.voters.some((voter) => voter.id === to.replica)) return false;
    if (seen.leader === to.replica) {
      this.#askedToHandOver.delete(shard);
      return false;
    }
    if (clock.monotonic_ms() < (this.#askedToHandOver.get(shard) ?? 0) || !(await this.#options.confirm()))
      return false;
    const answer = await this.#ask(shard, seen, { kind: 'transfer', to: to.node });
    if (answer?.kind !== 'begun') return false;
    this.#askedToHandOver.set(shard, clock.monotonic_ms() + settings.handOverPause_ms);
    return true;
  }

  /** Once it has left nobody tells it anything any more: so it removes its replicas first, unless it is away. */
  async #letGo(map: ShardMap, node: NodeId): Promise<void> {
    const { shards, settings } = this.#tenure;
    const asked = groupsOf(map).map(([group]) =>
      shards.remains(group, [{ node, replica: 0 }], settings.call_timeout_ms),
    );
    const remains = await Promise.all(asked);
    this.#tenure.check();
    if (remains.some(({ hosting, silent }) => hosting.length > 0 || (silent.length > 0 && this.#options.healthy(node))))
      return;
    const result = await this.#tenure.propose({ kind: 'remove_node', node });
    if (result.kind !== 'ok') return;
    const away = remains.some(({ silent }) => silent.length > 0);
    const how = away ? 'is away and leaves what it may still hold behind: it' : 'hosts nothing any more and';
    this.#tenure.event('info', `${node} ${how} has left the cluster`, { node });
  }

  #view(): RebuildView {
    const state = this.#tenure.controller.state();
    const map = state.map();
    if (map === null) throw new Error('invariant: a map that was there is gone');
    const { healthy, downFor_ms } = this.#options;
    const [changes, plan, settings] = [state.changes(), state.runningPlan(), state.settings()];
    return rebuildView({ map, changes, plan, settings, healthy, downFor_ms, shunned: this.#shunned() });
  }
}

const namesOf = (members: readonly ShardMember[]): string => members.map(({ node }) => node).join(', ');
const nameOf = (group: GroupId): string => (group === CONTROLLER_GROUP ? 'the controller' : shardName(group));
