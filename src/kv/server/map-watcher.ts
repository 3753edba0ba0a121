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
  #unsubscribe: () => void = () => undefined;
  #taking = false;
  #heard = 0;
  #fetching = false;
  #timer: Timer;
  #closed = false;

  constructor(options: MapWatcherOptions) {
    this.#options = options;
    this.#timer = options.clock.after(POLL_MS, () => this.#poll());
  }

  /** The controller's replica has come, gone, is damaged, or has a new state machine (after a snapshot). */
  controllerChanged(): void {
    const replica = this.#options.host.get(CONTROLLER);
    const sound = replica !== undefined && replica.damage === null;
    const machine = sound ? (replica.machine as ControllerStateMachine) : null;
    if (machine === this.#machine) return;
    this.#unsubscribe();
    this.#machine = machine;
    if (machine === null) return;
    this.#unsubscribe = machine.onChange(() => this.#takeSoon(machine));
    this.#take(machine);
  }

  /** After the round in which the controller's replica applies: what a listener throws must not look like damage there. */
  #takeSoon(machine: ControllerStateMachine): void {
    if (this.#taking) return;
    this.#taking = true;
    this.#options.clock.soon(() => {
      this.#taking = false;
      this.#take(machine);
    });
  }

  #take(machine: ControllerStateMachine): void {
    if (this.#closed || machine !== this.#machine) return;
    const map = machine.map();
    if (map !== null && map.epoch > this.#options.maps.epoch) this.#options.maps.offer(map, machine.retired());
  }

  heardOf(epoch: number): void {
    this.#heard = Math.max(this.#heard, epoch);
    if (this.#machine === null && this.#heard > this.#options.maps.epoch) void this.#fetch();
  }

  #poll(): void {
    if (this.#closed) return;
    // Also where there is a replica of the controller: it may be the one that lags behind, or is cut off.
    if (this.#heard > this.#options.maps.epoch || (this.#machine === null && this.#options.maps.map === null)) {
      void this.#fetch();
    }
    this.#timer = this.#options.clock.after(POLL_MS, () => this.#poll());
  }

  async #fetch(): Promise<void> {
    if (this.#fetching || this.#closed) return;
    this.#fetching = true;
    const { maps, controller } = this.#options;
    try {
      for (let before = -1; before < maps.epoch; ) {
        before = maps.epoch;
        const answer = await controller.map(null, POLL_MS);
        if (answer === null || answer === 'missing' || this.#closed) return;
        maps.offer(answer.map, answer.retired);
        if (this.#heard <= maps.epoch) return;
      }
    } catch (error) {
      this.#options.failed(error);
    } finally {
      this.#fetching = false;
    }
  }

  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    this.#timer.cancel();
  }
}
