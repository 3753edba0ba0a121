/**
 * The driver of members: runs on the controller's leader beside the driver of the plan. It carries out each change of
 * members that the controller's log holds, step by step (`member-change.ts`), and begins those that are due by themselves
 * (`member-repair.ts`). It keeps nothing in memory but who is busy with what, and for how long a newcomer has been away.
 *
 * It never undoes by silence: a change whose group has no leader waits. Only a newcomer that stays away is given up, so
 * that another node can take its place.
 */
import type { Clock, GroupId, NodeId } from '../raft/index.js';
import type { ControllerPort, DriverEvents } from './driver-ports.js';
import { DRIVER_DEFAULTS, type DriverSettings } from './driver-settings.js';
import { type MemberChange, type MemberStep, nextMemberStep } from './member-change.js';
import { nextLeaderWish, nextMemberWish, nextToRemove, type RepairView } from './member-repair.js';
import { CONTROLLER_GROUP, groupsOf, type ShardMap, type ShardMember, shardName } from './shard-map.js';
import type { ShardPort } from './shard-port.js';
import { type Asker, FOREVER, Tenure, TenureOver, type TenureParts } from './tenure.js';

export interface MemberDriverOptions {
  readonly clock: Clock;
  readonly shards: ShardPort;
  /** Of this node, which leads it and has applied an entry of its own term. */
  readonly controller: ControllerPort;
  readonly event: DriverEvents;
  readonly healthy: (node: NodeId) => boolean;
  /** Healthy for so long that it can lead again. */
  readonly steady: (node: NodeId) => boolean;
  /** Makes sure that this node still leads the controller: what it knows of changes is not outdated. */
  readonly confirm: () => Promise<boolean>;
  readonly settings?: Partial<DriverSettings>;
}

const NOBODY_WAITS: Asker = { stalled: () => {} };

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
    const { shards, settings } = this.#tenure;
    let awaySince_ms: number | null = null;
    for (;;) {
      const patience = { ...FOREVER, enough: () => this.#changeOf(group) === null };
      const seen = await this.#tenure.ask(NOBODY_WAITS, (timeout_ms) => shards.membership(group, timeout_ms), patience);
      const change = this.#changeOf(group);
      if (seen === null || change === null) return;
      const step = nextMemberStep(change, seen, this.#unhealthy(change));
      if (step.kind === 'done') {
        await this.#tenure.propose({ kind: 'members_changed', change: change.id });
        const what = change.givenUp === null ? 'members have changed' : 'members are those of before';
        this.#tenure.event('info', what, { group, cause: change.cause });
        return;
      }
      awaySince_ms = this.#newcomerAway(change) ? (awaySince_ms ?? this.#tenure.clock.monotonic_ms()) : null;
      if (awaySince_ms !== null && this.#tenure.clock.monotonic_ms() - awaySince_ms >= settings.newcomerPatience_ms) {
        await this.#giveUp(change);
        awaySince_ms = null;
        continue;
      }
      // A driver that leads no more, without knowing it, must not order what nobody wants any longer.
      if (step.kind !== 'wait' && (await this.#options.confirm()) && this.#changeOf(group)?.id === change.id) {
        const order = (timeout_ms: number) => shards.memberStep(group, seen.confIndex, step, timeout_ms);
        await this.#tenure.ask(NOBODY_WAITS, order, { until_ms: this.#soon_ms(), enough: () => false });
      }
      await this.#tenure.sleep(settings.memberPoll_ms);
    }
  }

  #soon_ms(): number {
    return this.#tenure.clock.monotonic_ms() + this.#tenure.settings.call_timeout_ms;
  }

  #unhealthy(change: MemberChange): ReadonlySet<NodeId> {
    const nodes = [...change.before, ...change.target].map((member) => member.node);
    return new Set(nodes.filter((node) => !this.#options.healthy(node)));
  }

  #newcomerAway({ target, before, givenUp }: MemberChange): boolean {
    if (givenUp !== null) return false;
    const isNew = (replica: number): boolean => !before.some((member) => member.replica === replica);
    return target.some(({ node, replica }) => isNew(replica) && !this.#options.healthy(node));
  }

  async #giveUp(change: MemberChange): Promise<void> {
    const { settings, event } = this.#tenure;
    const away = [...this.#unhealthy(change)].join(', ');
    const reason = `${away} did not answer for ${settings.newcomerPatience_ms / 1000} s`;
    event('warn', 'a change of members is given up', { group: change.group, cause: change.cause, reason });
    await this.#tenure.propose({ kind: 'give_up_members', change: change.id, reason });
  }

  // ------------------------------------------------------------------------------------------------ due by themselves

  async #repairForEver(): Promise<void> {
    for (;;) {
      await this.#tenure.sleep(this.#tenure.settings.repairEvery_ms);
      await this.#repair();
    }
  }

  async #repair(): Promise<void> {
    // One at a time: each is a copy of a shard, and the next is judged better when this one has ended.
    if (this.#tenure.controller.state().changes().length > 0) return;
    const view = this.#view();
    if (view === null) return;
    const empty = nextToRemove(view.map);
    if (empty !== null) {
      if (await this.#stillHosts(view.map, empty)) return;
      const result = await this.#tenure.propose({ kind: 'remove_node', node: empty });
      if (result.kind === 'ok')
        this.#tenure.event('info', `${empty} hosts nothing any more and has left the cluster`, { node: empty });
      return;
    }
    const wish = nextMemberWish(view);
    if (wish === null) return this.#spreadLeaders(view);
    const result = await this.#tenure.propose({ kind: 'change_members', ...wish });
    if (result.kind === 'change_started') {
      this.#tenure.event('info', `members of ${nameOf(wish.group)} change: ${wish.cause}`, { ...wish });
    }
  }

  /** Who should lead does so again as soon as it has been there for a while. One shard at a time. */
  async #spreadLeaders(view: RepairView): Promise<void> {
    const now_ms = this.#tenure.clock.monotonic_ms();
    if (now_ms < this.#nextSpread_ms) return;
    this.#nextSpread_ms = now_ms + this.#tenure.settings.spreadEvery_ms;
    const wish = nextLeaderWish(view);
    if (wish !== null) await this.#tenure.propose({ kind: 'prefer_leader', ...wish });
    for (const { id, members } of this.#tenure.controller.state().map()?.shards ?? []) {
      const first = members[0]!;
      if (view.busy.has(id) || !this.#options.steady(first.node)) continue;
      if (await this.#handOver(id, first)) return;
    }
  }

  /** True: it was asked for. */
  async #handOver(shard: GroupId, to: ShardMember): Promise<boolean> {
    const { shards, settings } = this.#tenure;
    const once = { until_ms: this.#soon_ms(), enough: () => false };
    const ask = (timeout_ms: number) => shards.membership(shard, timeout_ms);
    const seen = await this.#tenure.ask(NOBODY_WAITS, ask, once, settings.call_timeout_ms);
    if (seen === null || seen.leader === to.replica || !(await this.#options.confirm())) return false;
    if (!seen.conf.voters.some((voter) => voter.id === to.replica)) return false;
    const step: MemberStep = { kind: 'transfer', to: to.node };
    const order = (timeout_ms: number) => shards.memberStep(shard, seen.confIndex, step, timeout_ms);
    await this.#tenure.ask(NOBODY_WAITS, order, { until_ms: this.#soon_ms(), enough: () => false });
    return true;
  }

  /** Once it has left nobody tells it anything any more: so it removes its replicas first, unless it is away. */
  async #stillHosts(map: ShardMap, node: NodeId): Promise<boolean> {
    const { shards, settings } = this.#tenure;
    const asked = groupsOf(map).map(([group]) =>
      shards.remains(group, [{ node, replica: 0 }], settings.call_timeout_ms),
    );
    const remains = await Promise.all(asked);
    this.#tenure.check();
    return remains.some(
      ({ hosting, silent }) => hosting.length > 0 || (silent.length > 0 && this.#options.healthy(node)),
    );
  }

  #view(): RepairView | null {
    const state = this.#tenure.controller.state();
    const map = state.map();
    if (map === null) return null;
    const plan = state.runningPlan();
    const busy = new Set([...state.changes().map((change) => change.group), ...(plan?.retiring ?? [])]);
    return { map, busy, healthy: this.#options.healthy, calm: plan === null };
  }
}

const nameOf = (group: GroupId): string => (group === CONTROLLER_GROUP ? 'the controller' : shardName(group));
