/**
 * Where the leader of a group is, as far as this node knows: its own replica knows best, then what others said last.
 */
import type { GroupId, NodeId, ReplicaHost } from '../../raft/index.js';

/** So long without a word of it, and a leader is no better known here than elsewhere. */
const STALE_MS = 5_000;

export class Leaders {
  readonly #self: NodeId;
  readonly #host: () => ReplicaHost;
  readonly #hints = new Map<GroupId, NodeId>();

  constructor(self: NodeId, host: () => ReplicaHost) {
    this.#self = self;
    this.#host = host;
  }

  hint(group: GroupId, node: NodeId): void {
    this.#hints.set(group, node);
  }

  /** `node` turned out not to lead. */
  wrong(group: GroupId, node: NodeId): void {
    if (this.#hints.get(group) === node) this.#hints.delete(group);
  }

  known(group: GroupId): NodeId | null {
    const replica = this.#host().get(group);
    if (replica !== undefined && replica.damage === null) {
      if (replica.isLeader) return this.#self;
      // One that is no member any more is told of no other leader.
      if (replica.leaderNode !== null && replica.leaderAge_ms() <= STALE_MS) return replica.leaderNode;
    }
    return this.#hints.get(group) ?? null;
  }

  /** Whom to ask: the leader if it is known, else each member in turn. */
  candidate(group: GroupId, members: readonly NodeId[], attempt: number): NodeId | null {
    const leader = this.known(group);
    if (leader !== null && (leader !== this.#self || this.#host().get(group)?.isLeader === true)) return leader;
    const others = members.filter((node) => node !== this.#self);
    return others.length === 0 ? null : others[attempt % others.length]!;
  }
}
