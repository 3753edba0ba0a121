/**
 * Keeps this node's replicas in step with the shard map: makes those that the map gives it, removes those of shards that
 * the controller has retired, and those that are members no longer. Ids are never reused, so a retired id stays retired; a
 * shard that an older map merely does not know yet is left alone.
 *
 * A group that is as it was founded is begun by all its members alike. One that has changed since is joined: such a
 * replica knows nothing until its leader sends a snapshot.
 *
 * A replica is made or removed only by a map that the controller has just confirmed. The map at hand may be old (a node that starts
 * again has that of its own log, a node that slept that of yesterday), and may list a shard that is retired and gone: an
 * empty replica of it would be a second beginning of its group (F59).
 *
 * Nothing is removed from a node that has left for good: whatever is on it then it has kept while it was away, and a person has
 * to say what becomes of it.
 */
import type { Clock, GroupId, NodeId, ReplicaHost, Timer } from '../../raft/index.js';
import { type GroupMembers, groupsOf } from '../../shardctrl/index.js';
import { CONTROLLER, type MapAnswer } from './controller-caller.js';
import type { MapKeeper } from './map-keeper.js';

const ASK_MS = 1_000;
const RETRY_MS = 200;

export interface GroupKeeperOptions {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly host: Pick<ReplicaHost, 'knows' | 'is' | 'create' | 'join' | 'remove'>;
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
      if (this.#hasLeft()) return;
      await this.#removeRetired();
      if (this.#differs()) await this.#adjust();
    }
  }

  #hasLeft(): boolean {
    const { maps, self } = this.#options;
    return maps.map?.gone.includes(self) === true;
  }

  async #removeRetired(): Promise<void> {
    for (const group of this.#options.maps.retired) {
      if (group !== CONTROLLER) await this.#options.host.remove(group);
    }
  }

  /** By the map at hand something is to be made or removed. */
  #differs(): boolean {
    const { map } = this.#options.maps;
    return map !== null && groupsOf(map).some(([group, members]) => this.#due(group, members) !== null);
  }

  #due(group: GroupId, { members, joining }: GroupMembers): 'make' | 'remove' | null {
    const { host, self } = this.#options;
    const own = [...joining, ...members].find((member) => member.node === self);
    if (!host.knows(group)) {
      // The controller's founders begin it before there is a map, and never again.
      const begins = group === CONTROLLER ? joining.some((member) => member.node === self) : own !== undefined;
      return begins ? 'make' : null;
    }
    return own === undefined || !host.is(group, own.replica) ? 'remove' : null;
  }

  async #adjust(): Promise<void> {
    const { host, maps, newestMap } = this.#options;
    const newest = await newestMap(ASK_MS);
    if (newest === null) return this.#later();
    maps.offer(newest.map, newest.retired);
    if (this.#hasLeft()) return;
    for (const [group, members] of groupsOf(newest.map)) {
      if (this.#closed || maps.retired.includes(group)) continue;
      if (this.#due(group, members) === 'remove') await host.remove(group);
      if (this.#due(group, members) === 'make') await this.#make(group, members);
    }
    if (this.#differs()) this.#later();
  }

  async #make(group: GroupId, { members, joining, asFounded }: GroupMembers): Promise<void> {
    const { self, host } = this.#options;
    const founder = members.find((member) => member.node === self);
    if (founder === undefined || !asFounded) {
      const own = [...joining, ...members].find((member) => member.node === self)!;
      return host.join(group, own.replica);
    }
    const all = members.map(({ node, replica }) => ({ node, id: replica }));
    return host.create(group, founder.replica, all, all[0]!.node === self);
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
