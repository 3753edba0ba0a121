/**
 * Where this node's shard map comes from: its own controller replica, as it applies; or, where it hosts none, the
 * controller's members, asked as soon as somebody shows a newer epoch.
 */
import type { Clock, ReplicaHost, Timer } from '../../raft/index.js';
import type { ControllerStateMachine } from '../../shardctrl/index.js';
import { CONTROLLER, type ControllerCaller } from './controller-caller.js';
import type { MapKeeper } from './map-keeper.js';

const POLL_MS = 1_000;

export interface MapWatcherOptions {
  readonly clock: Clock;
  readonly host: ReplicaHost;
  readonly maps: MapKeeper;
  readonly controller: ControllerCaller;
  readonly failed: (error: unknown) => void;
}

export class MapWatcher {
  readonly #options: MapWatcherOptions;
  #machine: ControllerStateMachine | null = null;
  #heard = 0;
  #fetching = false;
  #timer: Timer;
  #closed = false;

  constructor(options: MapWatcherOptions) {
    this.#options = options;
    this.#timer = options.clock.after(POLL_MS, () => this.#poll());
  }

  /** The controller's replica has come, gone, or has a new state machine (after a snapshot). */
  controllerChanged(): void {
    const machine = (this.#options.host.get(CONTROLLER)?.machine as ControllerStateMachine | undefined) ?? null;
    if (machine === null || machine === this.#machine) return;
    this.#machine = machine;
    machine.onChange(() => this.#take(machine));
    this.#take(machine);
  }

  #take(machine: ControllerStateMachine): void {
    if (this.#closed || machine !== this.#machine) return;
    const map = machine.map();
    if (map !== null) this.#options.maps.offer(map, machine.retired());
  }

  heardOf(epoch: number): void {
    this.#heard = Math.max(this.#heard, epoch);
    if (this.#machine === null && this.#heard > this.#options.maps.epoch) void this.#fetch();
  }

  #poll(): void {
    if (this.#closed) return;
    if (this.#machine === null && this.#options.maps.map === null) void this.#fetch();
    this.#timer = this.#options.clock.after(POLL_MS, () => this.#poll());
  }

  async #fetch(): Promise<void> {
    if (this.#fetching || this.#closed) return;
    this.#fetching = true;
    try {
      const answer = await this.#options.controller.map(null, POLL_MS);
      if (answer !== null && answer !== 'missing' && !this.#closed)
        this.#options.maps.offer(answer.map, answer.retired);
    } catch (error) {
      this.#options.failed(error);
    } finally {
      this.#fetching = false;
    }
  }

  close(): void {
    this.#closed = true;
    this.#timer.cancel();
  }
}
