/**
 * What operators ask about nodes and about the members of shards. What they ask for goes into the controller's log; its
 * driver carries it out. Whoever is asked here looks first whether it can be done at all, and says what is in the way.
 */
import type { Clock, NodeId, Transport } from '../../raft/index.js';
import {
  type ControllerCommand,
  type ControllerResult,
  hasMajority,
  type MemberChange,
  type Membership,
  parseShardName,
  type ShardEntry,
  type ShardMap,
  type ShardPort,
  ShardUnavailable,
  shardName,
} from '../../shardctrl/index.js';
import type { Answer, ApiError, LeaderView, MembersRequest, MembersView, NodeView } from './api.js';
import type { ControllerCaller } from './controller-caller.js';
import { Deadline } from './deadline.js';
import type { HelloService } from './hello.js';
import type { Joiner } from './joiner.js';
import type { MapKeeper } from './map-keeper.js';
import { nodeView } from './node-view.js';
import type { PeerBook } from './peer-book.js';
import { delay, within } from './waiting.js';

/** How long is looked for a shard's leader before it is said that there is none. */
const LEADER_MS = 2_000;
const POLL_MS = 50;

export interface MembersAdminOptions {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly transport: Transport;
  readonly maps: MapKeeper;
  readonly shards: Pick<ShardPort, 'membership' | 'memberStep'>;
  readonly controller: ControllerCaller;
  readonly hello: HelloService;
  readonly book: PeerBook;
  readonly joiner: Joiner;
}

interface FoundShard {
  readonly map: ShardMap;
  readonly entry: ShardEntry;
  readonly change: MemberChange | null;
}

type Failure = { readonly ok: false; readonly error: ApiError };
const fail = (code: ApiError['code'], detail: string): Failure => ({ ok: false, error: { code, detail } });

const NO_MAP = fail('unavailable', 'this node has no shard map yet');
const AWAY = fail('no_leader', 'the controller did not answer in time: a majority of its members may be away');
const IN_DOUBT = fail('outcome_unknown', 'the controller did not confirm the command: look before you repeat it');
const TOO_LATE = fail(
  'unavailable',
  'the time for this request was over before the controller was asked: nothing has begun',
);

export class MembersAdmin {
  readonly #options: MembersAdminOptions;

  constructor(options: MembersAdminOptions) {
    this.#options = options;
  }

  // ------------------------------------------------------------------------------------------------------------- nodes

  async addNode(peer: string, timeout_ms: number): Promise<Answer<NodeView>> {
    const { clock, transport, maps, book, joiner } = this.#options;
    const deadline = new Deadline(clock, timeout_ms);
    if (maps.map === null) return NO_MAP;
    const found = await within(clock, transport.discover(peer), Math.max(1, deadline.left_ms), null);
    if (found === null) {
      return fail(
        'unavailable',
        `no node answers at ${peer}, or none that may join: is it started, with join and an empty data_dir?`,
      );
    }
    const known = maps.map.nodes.find((node) => node.id === found.node);
    if (known !== undefined && known.incarnation !== found.incarnation) {
      return fail(
        'conflict',
        `there is a node ${found.node} already, with another disk: give the new one a name of its own`,
      );
    }
    joiner.forget(found.node);
    if (known === undefined) book.invite(found.node, { address: peer, incarnation: found.incarnation });
    for (;;) {
      const view = this.#nodeView(found.node);
      if (view !== null) return { ok: true, value: view };
      const refusal = joiner.refusalOf(found.node);
      if (refusal !== null || deadline.isOver(POLL_MS)) {
        book.uninvite(found.node);
        return refusal !== null
          ? fail('conflict', refusal)
          : fail(
              'unavailable',
              `${found.node} at ${peer} has not become part of the cluster in time; it may still do so`,
            );
      }
      await delay(clock, POLL_MS);
    }
  }

  #nodeView(id: NodeId): NodeView | null {
    const { maps, hello, self } = this.#options;
    const node = maps.map?.nodes.find((entry) => entry.id === id);
    return node === undefined ? null : nodeView(node, maps.map!, hello, self);
  }

  async removeNode(id: NodeId, timeout_ms: number): Promise<Answer<NodeView>> {
    const before = this.#nodeView(id);
    const deadline = new Deadline(this.#options.clock, timeout_ms);
    const answer = await this.#propose({ kind: 'drain_node', node: id }, deadline);
    if (!answer.ok) return answer;
    // It may have left by now, or this node has not heard of it yet.
    const view = this.#nodeView(id) ?? before;
    return view === null
      ? fail('not_found', `${id} has left the cluster`)
      : { ok: true, value: { ...view, state: 'draining' } };
  }

  // ----------------------------------------------------------------------------------------------------------- members

  async changeMembers(shard: string, request: MembersRequest, timeout_ms: number): Promise<Answer<MembersView>> {
    const deadline = new Deadline(this.#options.clock, timeout_ms);
    const found = await this.#shard(shard, deadline);
    if (!found.ok) return found;
    const { entry, map } = found.value;
    const { add, remove } = request;
    const nobody = unknownNode([...add, ...remove], map);
    if (nobody !== null) return nobody;
    const seen = await this.#membership(entry, deadline);
    if (!seen.ok) return seen;
    const lost = this.#lost(entry, request);
    if (lost !== null) return fail('plan_impossible', lost);
    const answer = await this.#propose(
      {
        kind: 'change_members',
        group: entry.id,
        add: [...add],
        remove: [...remove],
        replicas: Math.max(1, entry.members.length + add.length - remove.length),
        cause: 'asked for by an operator',
      },
      deadline,
    );
    if (!answer.ok) return answer;
    const view = await this.#view(shard, deadline);
    if (view.ok) return view;
    // It has begun, whether or not it can be seen from here now.
    const members = entry.members.map((member) => member.node);
    return {
      ok: true,
      value: { id: shard, members, joining: add, leaving: remove, waits_for: 'asked for by an operator: it has begun' },
    };
  }

  /** Whose absence would leave the shard without a majority, in words; null: it keeps one. */
  #lost(entry: ShardEntry, { add, remove }: MembersRequest): string | null {
    const { hello, self } = this.#options;
    const healthy = (node: NodeId): boolean => node === self || hello.state(node) === 'healthy';
    const rest = [...entry.members.map((member) => member.node).filter((node) => !remove.includes(node)), ...add];
    if (rest.length === 0 || hasMajority(rest, (node) => add.includes(node) || healthy(node))) return null;
    const away = hello.away(rest.filter((node) => node !== self));
    return `${shardName(entry.id)} would be left with ${rest.join(', ')}, and ${away}: no majority`;
  }

  members(shard: string, timeout_ms: number): Promise<Answer<MembersView>> {
    return this.#view(shard, new Deadline(this.#options.clock, timeout_ms));
  }

  async #view(shard: string, deadline: Deadline): Promise<Answer<MembersView>> {
    const found = await this.#shard(shard, deadline);
    if (!found.ok) return found;
    const { entry, change } = found.value;
    const { members, joining } = entry;
    const stays = (replica: number): boolean => change?.target.some((member) => member.replica === replica) !== false;
    return {
      ok: true,
      value: {
        id: shardName(entry.id),
        members: members.map((member) => member.node),
        joining: joining.map((member) => member.node),
        leaving: members.filter((member) => !stays(member.replica)).map((member) => member.node),
        waits_for: change === null ? null : this.#waitsFor(entry, change),
      },
    };
  }

  #waitsFor({ joining }: ShardEntry, { cause, givenUp }: MemberChange): string {
    const { hello, self } = this.#options;
    const others = joining.map((member) => member.node).filter((node) => node !== self);
    const away = hello.away(others);
    if (givenUp !== null) return `${cause}: given up, ${givenUp}; the members of before are being restored`;
    if (away !== '') return `${cause}: ${away}`;
    return joining.length === 0
      ? `${cause}: the shard has to agree`
      : `${cause}: ${joining.map((member) => member.node).join(', ')} to catch up`;
  }

  async transferLeader(shard: string, to: NodeId, timeout_ms: number): Promise<Answer<LeaderView>> {
    const { clock, shards } = this.#options;
    const deadline = new Deadline(clock, timeout_ms);
    const found = await this.#shard(shard, deadline);
    if (!found.ok) return found;
    const { entry, map } = found.value;
    const nobody = unknownNode([to], map);
    if (nobody !== null) return nobody;
    if (!entry.members.some((member) => member.node === to)) {
      return fail('invalid_argument', `to: ${to} is no voting member of ${shard}`);
    }
    // Else the controller would give the leadership back in a while.
    const preferred = await this.#propose({ kind: 'prefer_leader', group: entry.id, node: to, pinned: true }, deadline);
    if (!preferred.ok) return preferred;
    let detail = `${to} did not take over in time; it is asked to`;
    for (;;) {
      const seen = await this.#membership(entry, deadline);
      if (!seen.ok) return seen;
      const { conf, confIndex, leader, term } = seen.value;
      const target = conf.voters.find((member) => member.node === to);
      if (target === undefined) return fail('invalid_argument', `to: ${to} is no voting member of ${shard}`);
      if (target.id === leader) return { ok: true, value: { id: shard, leader: to, term } };
      if (deadline.isOver(POLL_MS)) return fail('unavailable', detail);
      try {
        const answer = await shards.memberStep(entry.id, confIndex, { kind: 'transfer', to }, leaderWait_ms(deadline));
        if (answer.kind === 'refused') detail = answer.detail;
      } catch (error) {
        if (!(error instanceof ShardUnavailable)) throw error;
      }
      await delay(clock, POLL_MS);
    }
  }

  // ------------------------------------------------------------------------------------------------------------- parts

  /** By the newest map, with the change that is under way. */
  async #shard(name: string, deadline: Deadline): Promise<Answer<FoundShard>> {
    const answer = await this.#options.controller.members(deadline.left_ms);
    if (answer === null) return AWAY;
    const { map, changes } = answer;
    const id = parseShardName(name);
    const entry = map.shards.find((shard) => shard.id === id);
    if (entry === undefined) return { ok: false, error: noShard(name, map) };
    return { ok: true, value: { map, entry, change: changes.find((change) => change.group === id) ?? null } };
  }

  /** Without a leader nothing can be changed: who is missing is the answer (F41). */
  async #membership(entry: ShardEntry, deadline: Deadline): Promise<Answer<Membership>> {
    const { shards, hello, self } = this.#options;
    try {
      return { ok: true, value: await shards.membership(entry.id, leaderWait_ms(deadline)) };
    } catch (error) {
      if (!(error instanceof ShardUnavailable)) throw error;
      const away = hello.away(entry.members.map((member) => member.node).filter((node) => node !== self));
      const why = away === '' ? 'its members may be electing one' : away;
      return fail(
        'no_leader',
        `${shardName(entry.id)} has no leader, and only a majority of its members can change them: ${why}`,
      );
    }
  }

  async #propose(command: ControllerCommand, deadline: Deadline): Promise<Answer<ControllerResult>> {
    // Sent now it would be carried out, and nobody would be there to hear of it.
    if (deadline.isOver()) return TOO_LATE;
    const answer = await this.#options.controller.propose(command, deadline.left_ms);
    if (answer.kind === 'unavailable') return AWAY;
    if (answer.kind === 'unknown') return IN_DOUBT;
    const { result } = answer;
    switch (result.kind) {
      case 'ok':
      case 'change_started':
        return { ok: true, value: result };
      case 'change_conflict':
        return fail('conflict', result.detail);
      case 'plan_impossible':
        return fail('plan_impossible', result.missing);
      case 'unknown_node':
        return fail('not_found', `there is no node ${result.node} in the cluster`);
      case 'unknown_group':
        return fail('not_found', `there is no shard ${shardName(result.group)}`);
      case 'malformed':
        return fail('invalid_argument', result.detail);
      case 'not_initialised':
        return NO_MAP;
      default:
        return fail('internal', `unexpected answer of the controller: ${result.kind}`);
    }
  }
}

/** How long a shard's leader is waited for. */
const leaderWait_ms = (deadline: Deadline): number => Math.max(1, Math.min(LEADER_MS, deadline.left_ms));

/** Null: the cluster has all of these. */
function unknownNode(names: readonly NodeId[], { nodes }: ShardMap): Failure | null {
  const name = names.find((wanted) => !nodes.some((node) => node.id === wanted));
  if (name === undefined) return null;
  const known = nodes.map((node) => node.id).join(', ');
  return fail('not_found', `there is no node ${name} in the cluster; there are ${known}`);
}

export function noShard(name: string, map: ShardMap): ApiError {
  const known = map.shards.map((shard) => shardName(shard.id)).join(', ');
  return { code: 'not_found', detail: `there is no shard ${name}; there are ${known}` };
}
