/**
 * The chores of a shard's leader: its first slots, keys whose time has come, left-overs of slots that have gone. Each is a
 * replicated decision: found here, proposed, decided when applied.
 */
import type { Clock, GroupId, Replica, ReplicaHost, Timer } from '../../raft/index.js';
import { eachSlot, type MoveId, type SlotRanges, SlotState, slotsOf } from '../../shardctrl/index.js';
import { CopyPace, type NodeWork } from '../migration/index.js';
import { encodeCommand, type KvCommand, type KvStateMachine } from '../store/index.js';
import { CONTROLLER } from './controller-caller.js';
import { onState } from './on-state.js';
import type { StampClock } from './stamp-clock.js';
import { delay, propose } from './waiting.js';

const EVERY_MS = 100;
/** Removed in one go: what else the shard serves waits for it. */
const EXPIRED_MAX = 128;
const PURGED_MAX = 512;

export interface ShardKeeperOptions {
  readonly clock: Clock;
  readonly host: ReplicaHost;
  readonly stampOf: (shard: GroupId) => StampClock;
  /** Slots that the shard was given when the cluster was made, none if it was made later; null: not known now, ask again later. */
  readonly firstSlots: (shard: GroupId) => Promise<SlotRanges | null>;
  readonly work: NodeWork;
  /** Resolves when nothing is frozen here, or has been for too long. */
  readonly undisturbed: () => Promise<void>;
  readonly failed: (error: unknown) => void;
}

export class ShardKeeper {
  readonly #options: ShardKeeperOptions;
  /** By group and chore. */
  readonly #busy = new Set<string>();
  readonly #first = new Map<GroupId, SlotRanges>();
  #timer: Timer | null = null;
  #closed = false;

  constructor(options: ShardKeeperOptions) {
    this.#options = options;
    this.#round();
  }

  #round(): void {
    if (this.#closed) return;
    for (const group of this.#options.host.groups()) {
      const replica = this.#options.host.get(group);
      if (group === CONTROLLER || replica === undefined || !replica.leads) continue;
      // A purge that leaves the time to clients may take long: what is due goes meanwhile.
      this.#tend('slots', group, replica, (machine) => this.#tendSlots(group, replica, machine));
      this.#tend('expiry', group, replica, (machine) => this.#expire(group, replica, machine));
    }
    this.#timer = this.#options.clock.after(EVERY_MS, () => this.#round());
  }

  #tend(chore: string, group: GroupId, replica: Replica, work: (machine: KvStateMachine) => Promise<void>): void {
    const name = `${group} ${chore}`;
    if (this.#busy.has(name)) return;
    this.#busy.add(name);
    onState(this.#options.host, replica, work).then(
      () => this.#busy.delete(name),
      (error: unknown) => {
        this.#busy.delete(name);
        if (!this.#closed) this.#options.failed(error);
      },
    );
  }

  async #tendSlots(group: GroupId, replica: Replica, machine: KvStateMachine): Promise<void> {
    await this.#giveFirstSlots(group, replica, machine);
    await this.#purge(group, replica, machine);
  }

  /** Nothing to do on a shard that was made later, or whose slots have been seen here before, in whatever state. */
  async #giveFirstSlots(group: GroupId, replica: Replica, machine: KvStateMachine): Promise<void> {
    if (machine.revision > 0 || this.#first.get(group)?.length === 0) return;
    const slots = this.#first.get(group) ?? (await this.#options.firstSlots(group));
    if (slots === null) return;
    this.#first.set(group, slots);
    const first = slots[0]?.[0];
    if (first === undefined || machine.stateOf(first) !== SlotState.None || machine.floorOf(first) > 0) return;
    await this.#propose(group, replica, { kind: 'init', slots });
  }

  /** Batch after batch, as long as there is something: the next plan waits for this. It rests as copies do. */
  async #purge(group: GroupId, replica: Replica, machine: KvStateMachine): Promise<void> {
    const { clock, undisturbed, work } = this.#options;
    const pace = new CopyPace({ ...work, clock, maxRate: null, deadline_ms: Number.POSITIVE_INFINITY });
    for (const { move, slots } of purgeTasks(machine)) {
      const pass = machine.purgePass(move, slots);
      await replica.settled();
      for (;;) {
        await undisturbed();
        if (this.#closed || !replica.leads || machine !== replica.machine) return;
        const began_ms = clock.monotonic_ms();
        const purge = await pass.next(PURGED_MAX);
        if (purge === null || !(await this.#propose(group, replica, purge))) break;
        const rest_ms = pace.rest_ms(0, began_ms);
        if (rest_ms > 0) await delay(clock, rest_ms);
      }
    }
  }

  async #expire(group: GroupId, replica: Replica, machine: KvStateMachine): Promise<void> {
    for (;;) {
      const now_ms = this.#options.stampOf(group).next(machine.clock_ms);
      if (this.#closed || !replica.leads || machine !== replica.machine || !machine.mayBeDue(now_ms)) return;
      await replica.settled();
      const due = await machine.dueKeys(now_ms, EXPIRED_MAX);
      if (due === null || !(await this.#propose(group, replica, due))) return;
      if (due.keys.length + due.idempotency.length < EXPIRED_MAX) return;
    }
  }

  async #propose(group: GroupId, replica: Replica, command: KvCommand): Promise<boolean> {
    const machine = replica.machine as KvStateMachine;
    const stamp_ms = this.#options.stampOf(group).next(machine.clock_ms);
    const proposed = await propose(replica, encodeCommand(command, stamp_ms));
    return proposed.kind === 'applied';
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }
}

/** What is to be purged, by the move under which it may be: slots given away, and left-overs of aborted imports. */
function purgeTasks(machine: KvStateMachine): { readonly move: MoveId; readonly slots: SlotRanges }[] {
  const byMove = new Map<MoveId, number[]>();
  const add = (slots: SlotRanges, moveOf: (slot: number) => MoveId): void => {
    for (const slot of eachSlot(slots)) {
      const move = moveOf(slot);
      const known = byMove.get(move);
      if (known === undefined) byMove.set(move, [slot]);
      else known.push(slot);
    }
  };
  add(machine.slotsInState(SlotState.Purging), (slot) => machine.moveOf(slot));
  add(machine.slotsWithLeftovers(), (slot) => machine.floorOf(slot));
  return [...byMove].map(([move, slots]) => ({ move, slots: slotsOf(slots) }));
}
