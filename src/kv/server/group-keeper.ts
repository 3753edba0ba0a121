/**
 * Keeps this node's replicas in step with the shard map: makes those that the map gives it, removes those of shards that
 * the controller has retired. Ids are never reused, so a retired id stays retired; a shard that an older map merely does
 * not know yet is left alone.
 *
 * A replica is made only by a map that the controller has just confirmed. The map at hand may be old (a node that starts
 * again has that of its own log, a node that slept that of yesterday), and may list a shard that is retired and gone: an
 * empty replica of it would be a second beginning of its group (F59).
 */
import type { Clock, NodeId, ReplicaHost, Timer } from '../../raft/index.js';
import { CONTROLLER, type MapAnswer } from './controller-caller.js';
import type { MapKeeper } from './map-keeper.js';

const ASK_MS = 1_000;
const RETRY_MS = 200;

export interface GroupKeeperOptions {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly host: Pick<ReplicaHost, 'knows' | 'create' | 'remove'>;
  readonly maps: MapKeeper;
  /** The newest map, from the controller; null: it did not answer. */
  readonly newestMap: (timeout_ms: number) => Promise<MapAnswer | null>;
  readonly failed: (error: unknown) => void;
}

export class GroupKeeper {
  readonly #options: GroupKeeperOptions;
  #running = false;
  #again = false;
  #retry: Timer | null = null;
  #closed = false;

  constructor(options: GroupKeeperOptions) {
    this.#options = options;
    options.maps.onChange(() => this.check());
  }

  check(): void {
    this.#again = true;
    if (this.#running || this.#closed) return;
    this.#running = true;
    this.#run().then(
      () => {
        this.#running = false;
      },
      (error: unknown) => {
        this.#running = false;
        if (this.#closed) return;
        this.#options.failed(error);
        this.#later();
      },
    );
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false;
      await this.#removeRetired();
      if (this.#missing().length > 0) await this.#makeMissing();
    }
  }

  async #removeRetired(): Promise<void> {
    for (const group of this.#options.maps.retired) {
      if (group !== CONTROLLER) await this.#options.host.remove(group);
    }
  }

  #missing(): readonly number[] {
    const { maps, host, self } = this.#options;
    const shards = maps.map?.shards ?? [];
    return shards
      .filter((shard) => !host.knows(shard.id) && shard.members.some((member) => member.node === self))
      .map((shard) => shard.id);
  }

  async #makeMissing(): Promise<void> {
    const { self, host, maps, newestMap } = this.#options;
    const newest = await newestMap(ASK_MS);
    if (newest === null) return this.#later();
    maps.offer(newest.map, newest.retired);
    for (const shard of newest.map.shards) {
      const own = shard.members.find((member) => member.node === self);
      if (own === undefined || host.knows(shard.id) || maps.retired.includes(shard.id) || this.#closed) continue;
      const members = shard.members.map(({ node, replica }) => ({ node, id: replica }));
      await host.create(shard.id, own.replica, members, members[0]!.node === self);
    }
  }

  #later(): void {
    if (this.#closed || this.#retry !== null) return;
    this.#retry = this.#options.clock.after(RETRY_MS, () => {
      this.#retry = null;
      this.check();
    });
  }

  close(): void {
    this.#closed = true;
    this.#retry?.cancel();
  }
}
