/** A controller, fake shards and drivers in simulated time, with a network that loses, repeats and delays as told. */
import type { GroupId } from '../../src/raft/index.js';
import {
  type ControllerCommand,
  type ControllerPort,
  type ControllerProposed,
  type ControllerView,
  type CopyAnswer,
  type CopyMark,
  type CopyOrder,
  countSlots,
  type DriverSettings,
  eachSlot,
  isOver,
  PlanDriver,
  type PlanState,
  SETTINGS_DEFAULT,
  type ShardPort,
  ShardUnavailable,
  type SlotAnswer,
  type SlotCommand,
  type SlotRanges,
  SlotState,
  type SlotStats,
} from '../../src/shardctrl/index.js';
import { SimClock, SimScheduler } from '../sim/fakes/clock.js';
import { SimRandom } from '../sim/fakes/random.js';
import { type FakePage, FakeShards } from './fake-shards.js';
import { expectWhole, MemoryController } from './memory-controller.js';

export interface Call {
  /** Counts all calls of all drivers, from 1. */
  readonly number: number;
  /** `freeze`, `copy`, `propose publish`, … */
  readonly what: string;
  /** 0: the controller. That of an `install` is its destination, though the last changes come from the source. */
  readonly shard: GroupId;
  readonly driver: DriverHandle;
}

/** What becomes of a call. */
export interface Fate {
  readonly request?: 'arrives' | 'lost';
  readonly answer?: 'arrives' | 'lost';
  /** It is carried out (once more) so much later. */
  readonly again_ms?: number;
}

export interface DriverHandle {
  readonly driver: PlanDriver;
  /** What it still believes after it was cut off; null: it leads. */
  cutOff: ControllerView | null;
}

/** Of a copy that was asked for. */
export interface CopyRecord {
  readonly since: CopyMark | null;
  readonly began_ms: number;
  readonly takes_ms: number;
  readonly keys: number;
}

const ARRIVES: Fate = {};

export class DriverWorld {
  readonly scheduler = new SimScheduler();
  readonly clock = new SimClock(this.scheduler);
  readonly shards = new FakeShards();
  readonly random: SimRandom;
  readonly controller: MemoryController;
  readonly events: string[] = [];
  readonly calls: string[] = [];
  readonly reclaimed: GroupId[] = [];
  /** Of each question. */
  readonly reclaimRuns: string[] = [];
  readonly copies: CopyRecord[] = [];
  readonly down = new Set<GroupId>();
  /** Decides over every call; tests replace it. */
  fate: (call: Call) => Fate = () => ARRIVES;
  /** How long copying one key takes. */
  copy_ms = 0.01;
  /** Who leads the sources now: marks of others mean nothing. */
  exporter = 'n1/1';
  /** Copies that deliver something broken. */
  brokenCopies = 0;
  removed = true;
  /** Nodes that do not say whether they host a shard. */
  readonly silent = new Set<string>();
  leader: DriverHandle | null = null;
  readonly #settings: Partial<DriverSettings>;
  #number = 0;

  private constructor(controller: MemoryController, seed: number, settings: Partial<DriverSettings>) {
    this.controller = controller;
    this.random = new SimRandom(seed);
    this.#settings = settings;
    this.shards.now_ms = () => this.clock.monotonic_ms();
    for (const shard of controller.map.shards) this.shards.create(shard.id, shard.slots);
    controller.machine.onChange(() => this.#follow());
  }

  static async make(shards: number, seed = 1, settings: Partial<DriverSettings> = {}): Promise<DriverWorld> {
    return new DriverWorld(await MemoryController.cluster(3, shards), seed, settings);
  }

  /** Nodes make and remove shards as the map says. */
  #follow(): void {
    for (const { id } of this.controller.map.shards) {
      if (!this.shards.all.has(id)) this.scheduler.after(20, () => this.shards.all.has(id) || this.shards.create(id));
    }
    for (const id of this.controller.machine.retired()) {
      this.scheduler.after(30, () => this.removed && this.shards.all.delete(id));
    }
  }

  fill(slots: SlotRanges, keysPerSlot: number): void {
    for (const slot of eachSlot(slots)) {
      for (let i = 0; i < keysPerSlot; i++) this.shards.write(slot, `k${i}`, i);
    }
  }

  /** Clients that write to these slots for ever, where somebody serves them. */
  writers(slots: readonly number[], every_ms: number): void {
    let value = 1_000;
    const write = (): void => {
      const slot = this.random.pick(slots);
      this.shards.write(slot, `k${this.random.int(0, 5)}`, this.random.chance(0.3) ? null : value++);
      this.scheduler.after(every_ms, write);
    };
    write();
  }

  // ------------------------------------------------------------------------------------------------------------ drivers

  elect(): DriverHandle {
    const handle = { cutOff: null } as DriverHandle & { driver: PlanDriver };
    handle.driver = new PlanDriver({
      clock: this.clock,
      shards: this.#shardPort(handle),
      controller: this.#controllerPort(handle),
      event: (level, text, fields) => this.events.push(`${level} ${text} ${JSON.stringify(fields)}`),
      settings: this.#settings,
    });
    this.leader = handle;
    handle.driver.start();
    return handle;
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
    const [map, plan, batches, tombstones] = [
      machine.map(),
      machine.runningPlan(),
      machine.batches(),
      machine.tombstones(),
    ];
    const kept = new Map(tombstones);
    this.leader.cutOff = {
      map: () => map,
      runningPlan: () => plan,
      batches: () => batches,
      tombstones: () => kept,
      changes: () => [],
      settings: () => SETTINGS_DEFAULT,
    };
    this.leader = null;
  }

  #latency(): number {
    return this.random.between(0.5, 3);
  }

  #fateOf(what: string, shard: GroupId, driver: DriverHandle): Fate {
    this.calls.push(what);
    return this.fate({ number: ++this.#number, what, shard, driver });
  }

  #controllerPort(handle: DriverHandle): ControllerPort {
    return {
      state: () => handle.cutOff ?? this.controller.machine,
      onChange: (listener) => this.controller.machine.onChange(() => handle.cutOff === null && listener()),
      propose: (command) =>
        new Promise<ControllerProposed>((resolve) => {
          const fate = this.#fateOf(`propose ${command.kind}`, 0, handle);
          const timer = this.scheduler.after(500, () => resolve({ kind: 'unknown' }));
          const answer = (proposed: ControllerProposed): void => {
            timer.cancel();
            resolve(proposed);
          };
          if (fate.again_ms !== undefined) this.scheduler.after(fate.again_ms, () => this.apply(command));
          if (fate.request === 'lost') return;
          this.scheduler.after(this.#latency(), () => {
            if (handle.cutOff !== null) return answer({ kind: 'refused' });
            const result = this.apply(command);
            if (fate.answer !== 'lost') answer({ kind: 'applied', result, index: this.controller.index });
          });
        }),
    };
  }

  apply(command: ControllerCommand) {
    const result = this.controller.apply(command, this.clock.monotonic_ms());
    expectWhole(this.controller.map);
    return result;
  }

  #call<T>(handle: DriverHandle, what: string, shard: GroupId, timeout_ms: number, work: () => T): Promise<T> {
    return this.#longCall(handle, what, shard, timeout_ms, 0, () => work);
  }

  /** `begin` when the request arrives; what it returns so much later. */
  #longCall<T>(
    handle: DriverHandle,
    what: string,
    shard: GroupId,
    timeout_ms: number,
    takes_ms: number,
    begin: () => () => T,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const fate = this.#fateOf(what, shard, handle);
      const lost = (): void => reject(new ShardUnavailable(`s${shard} did not answer ${what}`));
      const timer = this.scheduler.after(timeout_ms, lost);
      const away = (): boolean => this.down.has(shard) || (shard !== 0 && !this.shards.all.has(shard));
      const carryOut = (done: (value: T) => void): void => {
        if (away()) return;
        const end = begin();
        if (takes_ms === 0) return done(end());
        this.scheduler.after(takes_ms, () => {
          if (!away()) done(end());
        });
      };
      if (fate.again_ms !== undefined) this.scheduler.after(fate.again_ms, () => carryOut(() => undefined));
      if (fate.request === 'lost') return;
      this.scheduler.after(this.#latency(), () =>
        carryOut((value) => {
          if (fate.answer === 'lost') return;
          this.scheduler.after(this.#latency(), () => {
            timer.cancel();
            resolve(value);
          });
        }),
      );
    });
  }

  #shardPort(handle: DriverHandle): ShardPort {
    const { shards } = this;
    return {
      slotCommand: (shard, command, timeout_ms) =>
        this.#call(handle, command.kind, shard, timeout_ms, () => this.#command(shard, command)),
      copy: (order, timeout_ms) => this.#copy(handle, order, timeout_ms),
      slotStats: (shard, slots, timeout_ms) =>
        this.#call(handle, 'stats', shard, timeout_ms, () => this.#stats(shard, slots)),
      purged: (shard, slots, timeout_ms) =>
        this.#call(handle, 'purged', shard, timeout_ms, () => shards.isPurged(shard, slots)),
      ready: (shard, timeout_ms) => this.#call(handle, 'ready', shard, timeout_ms, () => undefined),
      reclaim: (shard, run, timeout_ms) => {
        this.reclaimRuns.push(run);
        return this.#call(handle, 'reclaim', shard, timeout_ms, () => {
          this.reclaimed.push(shard);
        });
      },
      // The driver of plans asks for neither.
      membership: () => Promise.reject(new ShardUnavailable('no members here')),
      memberStep: () => Promise.reject(new ShardUnavailable('no members here')),
      sound: () => Promise.resolve(null),
      remains: async (shard, members) => {
        const nodes = shards.all.has(shard) ? members.map(({ node }) => node) : [];
        return {
          hosting: nodes.filter((node) => !this.silent.has(node)),
          silent: nodes.filter((node) => this.silent.has(node)),
        };
      },
    };
  }

  #command(shard: GroupId, command: SlotCommand): SlotAnswer {
    const answer = this.shards.command(shard, command);
    if (command.kind === 'delete' && answer.kind === 'ok') {
      const purge = (): void => {
        if (this.down.has(shard)) this.scheduler.after(50, purge);
        else this.shards.purge(shard, command.move, command.slots);
      };
      this.scheduler.after(this.random.between(5, 60), purge);
    }
    return answer;
  }

  #stats(shard: GroupId, slots: SlotRanges): SlotStats[] {
    const stats: SlotStats[] = [];
    for (const slot of eachSlot(slots)) {
      const { keys, bytes } = this.shards.shard(shard).sums([[slot, slot]]);
      if (keys > 0) stats.push({ slot, keys, bytes });
    }
    return stats;
  }

  #copy(handle: DriverHandle, order: CopyOrder, timeout_ms: number): Promise<CopyAnswer> {
    const { from, to, move, slots, since, maxRate, install } = order;
    const note = since === null || since.by === this.exporter ? (since?.note ?? null) : 0;
    const source = this.shards.all.get(from);
    const keys =
      source === undefined ? 0 : note === null ? source.sums(slots).keys : this.shards.notedAfter(from, slots, note);
    // What changes while it is under way is left.
    const begin = (): (() => CopyAnswer) => {
      if (this.down.has(from) || !this.shards.all.has(from)) throw new ShardUnavailable(`s${from} does not answer`);
      const upTo = note === null ? 0 : this.shards.shard(from).newestNote;
      const page = this.shards.page(from, move, slots, note);
      if (page !== null && this.brokenCopies > 0) {
        this.brokenCopies--;
        for (const entries of page.values()) entries.clear();
      }
      return () => deliver(upTo, page);
    };
    const deliver = (upTo: number, page: FakePage | null): CopyAnswer => {
      // Nothing is left to go with it, and it goes all the same.
      if (page === null && install !== null) return { kind: 'answered', answer: this.#command(to, install.command) };
      if (page === null) return { kind: 'refused', answer: { kind: 'stale' } };
      // Nothing new: no page goes, and nobody notices whether the destination is there.
      const goes = note === null || [...page.values()].some((entries) => entries.size > 0);
      if ((goes || install !== null) && (this.down.has(to) || !this.shards.all.has(to)))
        throw new ShardUnavailable(`s${to} does not answer`);
      const refusal = goes ? this.shards.mergePage(to, move, page) : null;
      if (refusal !== null) return { kind: 'refused', answer: refusal };
      if (install !== null && takes_ms <= install.within_ms) {
        return { kind: 'answered', answer: this.#command(to, install.command) };
      }
      const left = this.shards.notedAfter(from, slots, upTo);
      return { kind: 'copied', records: keys, bytes: keys * 10, mark: { by: this.exporter, note: upTo }, left };
    };
    const paced_ms = maxRate === null ? 0 : (keys * 10 * 1000) / maxRate;
    const takes_ms = Math.max(keys * this.copy_ms, paced_ms);
    this.copies.push({ since, began_ms: this.clock.monotonic_ms(), takes_ms, keys });
    const [what, whose] = install === null ? ['copy', from] : ['install', to];
    return this.#longCall(handle, what, whose, timeout_ms, takes_ms, () => {
      const begun = settled(begin);
      return () => settled(() => begun()());
    }).then((one) => one());
  }

  // ---------------------------------------------------------------------------------------------------------------- ends

  get plan(): PlanState {
    return this.controller.latest;
  }

  /** Runs until the plan is over; throws if it does not end within ten simulated minutes. */
  async untilOver(): Promise<PlanState> {
    const id = this.plan.id;
    await this.until(() => isOver(this.plan), `plan ${id} does not end`);
    // What was sent late arrives, too.
    await this.scheduler.runFor(10_000);
    return this.plan;
  }

  async until(condition: () => boolean, what: string, limit_ms = 600_000): Promise<void> {
    const held = await this.scheduler.runWhile(() => !condition(), this.scheduler.now_ms + limit_ms);
    if (!held) {
      const batches = JSON.stringify(this.controller.machine.batches());
      throw new Error(
        `${what}; ${batches}; ${this.events.slice(-5).join('; ')}; ${this.shards.story.slice(-20).join('; ')}`,
      );
    }
  }

  /** The map is right, each slot has one owner who knows all of it, and nothing of it is left anywhere else. */
  expectTidy(): void {
    const { map } = this.controller;
    expectWhole(map);
    if (this.controller.machine.batches().length > 0) throw new Error('batches are left in flight');
    const known = map.shards.map((shard) => shard.id).join();
    const there = [...this.shards.all.keys()].sort((a, b) => a - b).join();
    if (known !== there) throw new Error(`the map has shards ${known}, nodes have ${there}`);
    for (const entry of map.shards) {
      const shard = this.shards.shard(entry.id);
      for (const slot of eachSlot(entry.slots)) {
        if (shard.slots.get(slot)?.state !== SlotState.Own)
          throw new Error(`s${entry.id} does not serve its slot ${slot}`);
        this.shards.checkTruth(shard, slot);
      }
      let owned = 0;
      for (const slot of shard.slots.values()) {
        if (slot.state === SlotState.Own) owned++;
        else if (slot.state !== SlotState.None || !slot.isEmpty) throw new Error(`left-overs at s${entry.id}`);
      }
      if (owned !== countSlots(entry.slots)) throw new Error(`s${entry.id} serves slots that are not its own`);
    }
  }
}

/** An error is a late answer like others: it is thrown where the call is awaited. */
function settled<T>(work: () => T): () => T {
  try {
    const value = work();
    return () => value;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}
