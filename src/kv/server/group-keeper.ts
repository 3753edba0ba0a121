/**
 * Keeps this node's replicas in step with the shard map: makes those that the map gives it, removes those of shards that
 * the controller has retired. Ids are never reused, so a retired id stays retired; a shard that an older map merely does
 * not know yet is left alone.
 */
import type { NodeId, ReplicaHost } from '../../raft/index.js';
import type { MapKeeper } from './map-keeper.js';

export class GroupKeeper {
  readonly #self: NodeId;
  readonly #host: ReplicaHost;
  readonly #maps: MapKeeper;
  readonly #failed: (error: unknown) => void;
  #running = false;
  #again = false;
  #closed = false;

  constructor(self: NodeId, host: ReplicaHost, maps: MapKeeper, failed: (error: unknown) => void) {
    this.#self = self;
    this.#host = host;
    this.#maps = maps;
    this.#failed = failed;
    maps.onChange(() => this.check());
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
        this.#failed(error);
      },
    );
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false;
      const map = this.#maps.map;
      if (map === null) return;
      for (const group of this.#maps.retired) if (group !== 0) await this.#host.remove(group);
      for (const shard of map.shards) {
        const own = shard.members.find((member) => member.node === this.#self);
        if (own === undefined || this.#host.knows(shard.id)) continue;
        const members = shard.members.map(({ node, replica }) => ({ node, id: replica }));
        await this.#host.create(shard.id, own.replica, members, members[0]!.node === this.#self);
      }
    }
  }

  close(): void {
    this.#closed = true;
  }
}
