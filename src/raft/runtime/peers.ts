/**
 * The other members of a group: on which nodes they are, and what is sent to them. A newcomer knows no members but itself:
 * it takes whoever writes to it for what he says, until a snapshot tells.
 */
import {
  type ConfState,
  index,
  type Member,
  type Message,
  MessageType,
  NOBODY,
  type NodeId,
  type RaftCore,
  type ReplicaId,
} from '../core/index.js';
import type { LeaderContact } from './leader-contact.js';
import type { ReplicaContext } from './replica-context.js';

/**
 * Of a leader that no quorum has confirmed for an election timeout: others may have committed since what it knows nothing of. Its
 * ticks do not tell, after a pause.
 */
const UNKNOWN_BOUND = index(Number.MAX_SAFE_INTEGER);

export class Peers {
  readonly #context: ReplicaContext;
  readonly #core: RaftCore;
  readonly #leaderContact: LeaderContact;
  #nodeOf = new Map<ReplicaId, NodeId>();
  /** The one that `#nodeOf` was made of. */
  #conf: ConfState | null = null;
  /** The last one that wrote to us and is not in our configuration: a newcomer's leader, before its first snapshot. */
  #stranger: Member | null = null;

  constructor(context: ReplicaContext, leaderContact: LeaderContact) {
    this.#context = context;
    this.#core = context.core;
    this.#leaderContact = leaderContact;
  }

  /** This replica among them. */
  get members(): readonly Member[] {
    const conf = this.#core.conf;
    return [...conf.voters, ...conf.outgoing, ...conf.learners];
  }

  nodeOf(id: ReplicaId): NodeId | undefined {
    if (this.#conf !== this.#core.conf) {
      this.#conf = this.#core.conf;
      this.#nodeOf = new Map(this.members.map((member) => [member.id, member.node]));
      if (this.#nodeOf.has(this.#stranger?.id ?? NOBODY)) this.#stranger = null;
    }
    return this.#nodeOf.get(id) ?? (this.#stranger?.id === id ? this.#stranger.node : undefined);
  }

  /** False: `id` is known to be on another node than the one that its message came from. */
  recognize(id: ReplicaId, from: NodeId): boolean {
    const known = this.nodeOf(id);
    if (known === undefined) this.#stranger = { id, node: from };
    return known === undefined || known === from;
  }

  sendAll(messages: readonly Message[]): void {
    const { environment, group } = this.#context;
    const { election_timeout_ms } = environment.settings;
    for (const message of messages) {
      const node = this.nodeOf(message.to);
      if (node === undefined) continue;
      const vouches = message.type !== MessageType.Heartbeat || this.#leaderContact.age_ms() <= election_timeout_ms;
      environment.sendRaft(node, group, vouches ? message : { ...message, index: UNKNOWN_BOUND });
    }
  }
}
