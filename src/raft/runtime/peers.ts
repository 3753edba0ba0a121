/**
 * The other members of a group: on which nodes they are, and what is sent to them. A newcomer knows no members but itself:
 * it takes whoever writes to it for what he says, until a snapshot tells.
 */
import {
  type ConfState,
  type Index,
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
import { Stamps } from './stamps.js';

/**
 * Of a leader that no quorum has confirmed for an election timeout: others may have committed since what it knows nothing of. Its
 * ticks do not tell, after a pause.
 */
const UNKNOWN_BOUND = index(Number.MAX_SAFE_INTEGER);

export class Peers {
  readonly #context: ReplicaContext;
  readonly #core: RaftCore;
  readonly #leaderContact: LeaderContact;
  /** Of this replica's answers. */
  readonly #stamps: Stamps;
  /** The last one that each member has put on an answer, for the next heartbeat to it. */
  readonly #stampOf = new Map<ReplicaId, Index>();
  #nodeOf = new Map<ReplicaId, NodeId>();
  /** The one that `#nodeOf` was made of. */
  #conf: ConfState | null = null;
  /** The last one that wrote to us and is not in our configuration: a newcomer's leader, before its first snapshot. */
  #stranger: Member | null = null;

  constructor(context: ReplicaContext, leaderContact: LeaderContact) {
    this.#context = context;
    this.#core = context.core;
    this.#leaderContact = leaderContact;
    this.#stamps = new Stamps(context.environment.random);
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
      for (const id of this.#stampOf.keys()) if (!this.#nodeOf.has(id)) this.#stampOf.delete(id);
    }
    return this.#nodeOf.get(id) ?? (this.#stranger?.id === id ? this.#stranger.node : undefined);
  }

  /** False: `id` is known to be on another node than the one that its message came from. */
  recognize(id: ReplicaId, from: NodeId): boolean {
    const known = this.nodeOf(id);
    if (known === undefined) this.#stranger = { id, node: from };
    return known === undefined || known === from;
  }

  /** A member has answered a heartbeat. */
  answered({ from, hint }: Message): void {
    this.#stampOf.set(from, hint);
  }

  /** When this replica sent the answer that this heartbeat came after, on the node's pulse; null: not known. */
  answeredBefore_ms({ hint }: Message): number | null {
    return this.#stamps.sentAt_ms(hint);
  }

  sendAll(messages: readonly Message[]): void {
    const { environment, group } = this.#context;
    for (const message of messages) {
      const node = this.nodeOf(message.to);
      if (node !== undefined) environment.sendRaft(node, group, this.#stamped(message));
    }
  }

  #stamped(message: Message): Message {
    const { pulse, settings } = this.#context.environment;
    if (message.type === MessageType.HeartbeatResponse)
      return { ...message, hint: index(this.#stamps.take(pulse.now_ms())) };
    if (message.type !== MessageType.Heartbeat) return message;
    const vouches = this.#leaderContact.age_ms() <= settings.election_timeout_ms;
    const hint = this.#stampOf.get(message.to) ?? index(0);
    return { ...message, hint, index: vouches ? message.index : UNKNOWN_BOUND };
  }
}
