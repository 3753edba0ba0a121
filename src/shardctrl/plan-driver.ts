/**
 * The driver of the plan: runs on the controller's leader and turns what the controller's log wants into commands to
 * shards. It decides nothing that it could not decide again: after every change it looks at the state (`#look`) and sees
 * to it that somebody carries out each batch in flight, that free places are filled with further batches, and that a
 * plan with nothing left is wound up. What it keeps in memory is only who is busy with what.
 */
import type { Clock } from '../raft/index.js';
import { packBatch } from './batch-packing.js';
import { BatchRun } from './batch-run.js';
import type { ControllerPort, DriverEvents } from './driver-ports.js';
import { DRIVER_DEFAULTS, type DriverSettings } from './driver-settings.js';
import { FrozenGate } from './frozen-gate.js';
import { Places } from './places.js';
import { type Batch, DRIVER_ENDED, isMoved, type PlanMove, type PlanState, slotsToStart } from './plan.js';
import { windUp } from './plan-wind-up.js';
import { shardName } from './shard-map.js';
import type { MoveId, ShardPort } from './shard-port.js';
import { firstSlots, formatSlots } from './slot-ranges.js';
import { type Asker, FOREVER, type Patience, Tenure, TenureOver, type TenureParts } from './tenure.js';

export interface PlanDriverOptions {
  readonly clock: Clock;
  readonly shards: ShardPort;
  /** Of this node, which leads it and has applied an entry of its own term. */
  readonly controller: ControllerPort;
  readonly event: DriverEvents;
  readonly settings?: Partial<DriverSettings>;
}

export class PlanDriver {
  readonly #parts: TenureParts;
  #office: Office | null = null;

  constructor(options: PlanDriverOptions) {
    const { clock, shards, controller, event } = options;
    this.#parts = { clock, shards, controller, event, settings: { ...DRIVER_DEFAULTS, ...options.settings } };
  }

  /** Takes over whatever is in flight. Does nothing while it runs already. */
  start(): void {
    if (this.#office === null) this.#office = new Office(new Tenure(this.#parts));
  }

  /** At once: nothing is sent or proposed any more, and answers that still come change nothing. */
  stop(): void {
    this.#office?.close();
    this.#office = null;
  }
}

/** A move that is being prepared: its next batch is measured, but not in the log yet. */
interface Start extends Asker {
  readonly move: PlanMove;
  isStalled: boolean;
}

class Office {
  readonly #tenure: Tenure;
  readonly #gate = new FrozenGate();
  readonly #runs = new Map<MoveId, BatchRun>();
  /** By plan and move: one at a time, so that no slot is offered twice. */
  readonly #starts = new Map<string, Start>();
  /** Batches that somebody else may have frozen: in flight when this office began, or carried out before and stumbled. */
  readonly #inherited: Map<MoveId, string>;
  readonly #unsubscribe: () => void;
  #windingUp = false;
  #lookDue = false;

  constructor(tenure: Tenure) {
    this.#tenure = tenure;
    const inFlight = tenure.controller.state().batches();
    this.#inherited = new Map(inFlight.map((batch) => [batch.move, DRIVER_ENDED]));
    this.#unsubscribe = tenure.controller.onChange(() => this.#wake());
    this.#wake();
  }

  close(): void {
    this.#unsubscribe();
    this.#tenure.end();
  }

  readonly #wake = (): void => {
    if (this.#lookDue || this.#tenure.over) return;
    this.#lookDue = true;
    this.#tenure.clock.soon(() => {
      this.#lookDue = false;
      if (!this.#tenure.over) this.#look();
    });
  };

  #look(): void {
    const state = this.#tenure.controller.state();
    const batches = state.batches();
    for (const batch of batches) this.#carryOut(batch);
    const plan = state.runningPlan();
    if (plan === null || plan.status === 'paused') return;
    const nothingLeft = plan.ending !== null || plan.moves.every(isMoved);
    if (!nothingLeft) this.#fillPlaces(plan, batches);
    else if (batches.length === 0 && this.#runs.size === 0 && this.#starts.size === 0) this.#windUp(plan);
  }

  #carryOut(batch: Batch): void {
    if (this.#runs.has(batch.move)) return;
    const run = new BatchRun(this.#tenure, this.#gate, batch, this.#inherited.get(batch.move) ?? null, this.#wake);
    this.#runs.set(batch.move, run);
    if (!this.#inherited.has(batch.move)) this.#inherited.set(batch.move, 'the driver stumbled over it');
    void this.#guard(`batch ${batch.move}`, run.run(), () => {
      this.#runs.delete(batch.move);
      const inFlight = this.#tenure.controller.state().batches();
      if (!inFlight.some((other) => other.move === batch.move)) this.#inherited.delete(batch.move);
    });
  }

  #windUp(plan: PlanState): void {
    if (this.#windingUp) return;
    this.#windingUp = true;
    void this.#guard('winding up', windUp(this.#tenure, plan), () => {
      this.#windingUp = false;
    });
  }

  /** A task must not take the node down: what it was at is tried again from the state. */
  async #guard(what: string, task: Promise<void>, ended: () => void): Promise<void> {
    try {
      await task;
    } catch (error) {
      if (error instanceof TenureOver || this.#tenure.over) return;
      this.#tenure.event('error', `the driver stumbled over ${what}; it tries again`, { error });
      await this.#tenure.sleep(this.#tenure.settings.backOffLast_ms);
    }
    ended();
    this.#wake();
  }

  // ------------------------------------------------------------------------------------------------- further batches

  /** Moves with the fewest batches under way come first: a move whose shard is away does not hold up the others (F63). */
  #fillPlaces(plan: PlanState, batches: readonly Batch[]): void {
    const underWay = batches.filter((batch) => batch.phase !== 'published');
    const of = (move: PlanMove): number => underWay.filter((batch) => batch.planMove === move.id).length;
    const places = this.#placesLeft(plan, underWay);
    const moves = plan.moves.filter((move) => this.#mayStart(plan, move, of(move), batches));
    moves.sort((a, b) => of(a) - of(b));
    for (const move of moves) {
      if (!places.hasFor(move)) continue;
      places.take(move);
      this.#start(plan, move);
    }
  }

  /** Whoever waits for a shard that does not answer takes no place. */
  #placesLeft(plan: PlanState, underWay: readonly Batch[]): Places {
    const map = this.#tenure.controller.state().map();
    if (map === null) throw new Error('invariant: where a plan runs there is a map');
    const { batchesMax, batchesPerNodeMax } = this.#tenure.settings;
    // Where the rate is limited, one at a time has all of it.
    const inAll = plan.maxRate === undefined ? batchesMax : 1;
    const places = new Places(map, { inAll, perNode: batchesPerNodeMax });
    for (const batch of underWay) if (this.#runs.get(batch.move)?.isStalled === false) places.take(batch);
    for (const start of this.#starts.values()) if (!start.isStalled) places.take(start.move);
    return places;
  }

  #mayStart(plan: PlanState, move: PlanMove, underWay: number, batches: readonly Batch[]): boolean {
    const { batchesPerMoveMax, purgesPerSourceMax } = this.#tenure.settings;
    // After a failure one at a time, so that it is clear what fails.
    if (underWay >= (move.failures > 0 ? 1 : batchesPerMoveMax)) return false;
    if (this.#starts.has(`${plan.id}/${move.id}`)) return false;
    const purging = batches.filter((batch) => batch.phase === 'published' && batch.from === move.from).length;
    return purging < purgesPerSourceMax && slotsToStart(move, plan.id, batches).length > 0;
  }

  #start(plan: PlanState, move: PlanMove): void {
    const key = `${plan.id}/${move.id}`;
    const start: Start = {
      move,
      isStalled: false,
      stalled: (stalled) => {
        if (start.isStalled === stalled) return;
        start.isStalled = stalled;
        this.#wake();
      },
    };
    this.#starts.set(key, start);
    const what = `the start of a batch of ${move.id}`;
    void this.#guard(what, this.#startBatch(plan, move, start), () => this.#starts.delete(key));
  }

  async #startBatch(plan: PlanState, move: PlanMove, start: Start): Promise<void> {
    const { settings, shards, controller } = this.#tenure;
    if (move.failures >= settings.attemptsMax) return this.#fail(plan, move);
    if (move.failures > 0) {
      start.stalled(true);
      await this.#tenure.sleep(this.#tenure.backOff_ms(move.failures));
    }
    const patience: Patience = { ...FOREVER, enough: () => this.#tenure.windingUp(plan.id) };
    const ready = (timeout_ms: number): Promise<true> => shards.ready(move.to, timeout_ms).then(() => true as const);
    if ((await this.#tenure.ask(start, ready, patience)) === null) return;
    const window = firstSlots(slotsToStart(move, plan.id, controller.state().batches()), settings.batchSlots);
    const measure = (timeout_ms: number) => shards.slotStats(move.from, window, timeout_ms);
    const stats = await this.#tenure.ask(start, measure, patience);
    if (stats === null || window.length === 0) return;
    const limits = { keys: settings.batchKeys, bytes: settings.batchBytes, slots: settings.batchSlots };
    const slots = packBatch(window, stats, limits, move.failures);
    const result = await this.#tenure.propose({ kind: 'start_batch', plan: plan.id, planMove: move.id, slots });
    // Refused: paused, ended, or taken meanwhile. The state tells; look again, but not at once.
    if (result.kind !== 'batch_started') await this.#tenure.sleep(settings.backOffFirst_ms);
  }

  async #fail(plan: PlanState, move: PlanMove): Promise<void> {
    const where = `${formatSlots(firstSlots(slotsToStart(move, plan.id, []), 1))} and following`;
    const reason = `move ${move.id} (${shardName(move.from)} to ${shardName(move.to)}, slot ${where}) failed ${move.failures} times in a row, last: ${move.lastFailure ?? 'unknown'}`;
    this.#tenure.event('error', 'a plan fails', { plan: plan.id, reason });
    await this.#tenure.propose({ kind: 'plan_failed', plan: plan.id, reason: reason.slice(0, 2_000) });
  }
}
