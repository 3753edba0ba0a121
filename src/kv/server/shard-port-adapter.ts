/** The controller's `ShardPort`, carried out by messages to the shards' leaders, or to all members where disks are meant. */
import { z } from 'zod';
import type { Clock, GroupId, Index, NodeId, ReplicaHost } from '../../raft/index.js';
import {
  type CopyAnswer,
  type CopyOrder,
  type MemberStep,
  type Membership,
  type Remains,
  type ShardMember,
  type ShardPort,
  ShardUnavailable,
  type SlotAnswer,
  type SlotCommand,
  type SlotRanges,
  type SlotStats,
  type StepAnswer,
} from '../../shardctrl/index.js';
import { callJson, handleJson } from './json-rpc.js';
import type { MapKeeper } from './map-keeper.js';
import type { MembersService } from './members-service.js';
import { Method, type Rpc } from './rpc.js';
import type { ShardCaller } from './shard-caller.js';
import { type LeaderAnswer, leaderAnswers, type ShardQuery } from './shard-schemas.js';
import { delay, within } from './waiting.js';

const ATTEMPT_MS = 1_000;
const RECLAIM_PAUSE_MS = 250;

const statusRequestSchema = z.object({ group: z.number() });
/** `sound`: the id of the replica there that works; null: there is none. */
const statusAnswerSchema = z.object({ hosted: z.boolean(), sound: z.number().nullable() });
type Status = z.infer<typeof statusAnswerSchema>;

export interface ShardPortOptions {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly host: ReplicaHost;
  readonly rpc: Rpc;
  readonly maps: MapKeeper;
  readonly caller: ShardCaller;
  /** What this node says of the groups that it leads itself. */
  readonly members: MembersService;
  /** The node has been silent for so long that nobody should wait for it. */
  readonly down: (node: NodeId) => boolean;
  readonly failed: (error: unknown) => void;
}

export class ShardPortAdapter implements ShardPort {
  readonly #options: ShardPortOptions;

  constructor(options: ShardPortOptions) {
    this.#options = options;
    handleJson(
      options.rpc,
      Method.NodeStatus,
      statusRequestSchema,
      async ({ group }) => this.#own(group),
      options.failed,
    );
  }

  slotCommand(shard: GroupId, command: SlotCommand, timeout_ms: number): Promise<SlotAnswer> {
    const request = { shard, command };
    return this.#options.caller.ask(
      shard,
      Method.SlotCommand,
      request,
      leaderAnswers.slotCommand,
      (service) => service.slotCommand(request),
      timeout_ms,
      ATTEMPT_MS,
    );
  }

  copy(order: CopyOrder, timeout_ms: number): Promise<CopyAnswer> {
    const request = { ...order, timeout_ms };
    return this.#options.caller.ask(
      order.from,
      Method.Copy,
      request,
      leaderAnswers.copy,
      (service) => service.copy(request),
      timeout_ms,
    );
  }

  slotStats(shard: GroupId, slots: SlotRanges, timeout_ms: number): Promise<readonly SlotStats[]> {
    return this.#query({ kind: 'stats', shard, slots }, leaderAnswers.stats, timeout_ms);
  }

  purged(shard: GroupId, slots: SlotRanges, timeout_ms: number): Promise<boolean> {
    return this.#query({ kind: 'purged', shard, slots }, leaderAnswers.flag, timeout_ms);
  }

  async ready(shard: GroupId, timeout_ms: number): Promise<void> {
    await this.#query({ kind: 'ready', shard }, leaderAnswers.done, timeout_ms);
  }

  /**
   * One member after the other: it is work for disks that also serve. Members that are down, or cannot do it in time, are
   * passed over: they lose nothing by it, and give the space back after the next plan.
   */
  async reclaim(shard: GroupId, run: string, timeout_ms: number): Promise<void> {
    const { clock, maps, down } = this.#options;
    const deadline = clock.monotonic_ms() + timeout_ms;
    const query: ShardQuery = { kind: 'reclaim', shard, run };
    const pending = new Set(maps.membersOf(shard));
    let done = false;
    for (;;) {
      for (const node of pending) {
        const left_ms = deadline - clock.monotonic_ms();
        if (left_ms <= 0) break;
        const reclaimed = !down(node) && (await this.#reclaimAt(node, query, Math.min(left_ms, ATTEMPT_MS)));
        done ||= reclaimed;
        if (reclaimed || down(node)) pending.delete(node);
      }
      if (pending.size === 0 || clock.monotonic_ms() + RECLAIM_PAUSE_MS >= deadline) break;
      await delay(clock, RECLAIM_PAUSE_MS);
    }
    if (!done) throw new ShardUnavailable(`no member of s${shard} has given its space back within ${timeout_ms} ms`);
  }

  /** Long work, asked for again and again: a node that has just started may have let the question fall. */
  async #reclaimAt(node: NodeId, query: ShardQuery, timeout_ms: number): Promise<boolean> {
    const { caller, clock, rpc, self } = this.#options;
    if (node === self) {
      const answer = await within(clock, caller.local.query(query), timeout_ms, null);
      return answer?.ok === true;
    }
    const called = await callJson(rpc, node, Method.ShardQuery, query, leaderAnswers.done, timeout_ms);
    return called.kind === 'answer' && called.value.ok;
  }

  #query<T>(query: ShardQuery, answer: z.ZodType<LeaderAnswer<T>>, timeout_ms: number): Promise<T> {
    return this.#options.caller.ask(
      query.shard,
      Method.ShardQuery,
      query,
      answer,
      async (service) => (await service.query(query)) as LeaderAnswer<T>,
      timeout_ms,
    );
  }

  membership(group: GroupId, timeout_ms: number): Promise<Membership> {
    const { caller, members } = this.#options;
    const here = (): Promise<LeaderAnswer<Membership>> => members.membership(group);
    const request = { kind: 'membership', group };
    return caller.ask(group, Method.Members, request, leaderAnswers.membership, here, timeout_ms, ATTEMPT_MS);
  }

  memberStep(group: GroupId, seenAt: Index, step: MemberStep, timeout_ms: number): Promise<StepAnswer> {
    const { caller, members } = this.#options;
    const here = async (): Promise<LeaderAnswer<StepAnswer>> => members.step(group, seenAt, step);
    const request = { kind: 'step', group, seenAt, step };
    return caller.ask(group, Method.Members, request, leaderAnswers.step, here, timeout_ms, ATTEMPT_MS);
  }

  async sound(group: GroupId, { node, replica }: ShardMember, timeout_ms: number): Promise<boolean | null> {
    const status = await this.#status(node, group, timeout_ms);
    return status === null ? null : status.sound === replica;
  }

  #own(group: GroupId): Status {
    const { host } = this.#options;
    const replica = host.get(group);
    return { hosted: host.knows(group), sound: replica?.damage === null ? replica.id : null };
  }

  async remains(shard: GroupId, members: readonly ShardMember[], timeout_ms: number): Promise<Remains> {
    const hosting: NodeId[] = [];
    const silent: NodeId[] = [];
    const ask = async ({ node }: ShardMember): Promise<void> => {
      const status = await this.#status(node, shard, timeout_ms);
      if (status?.hosted !== false) (status === null ? silent : hosting).push(node);
    };
    await Promise.all(members.map(ask));
    return { hosting, silent };
  }

  /** null: no answer. */
  async #status(node: NodeId, group: GroupId, timeout_ms: number): Promise<Status | null> {
    const { rpc, self, down } = this.#options;
    if (node === self) return this.#own(group);
    if (down(node)) return null;
    const called = await callJson(rpc, node, Method.NodeStatus, { group }, statusAnswerSchema, timeout_ms);
    return called.kind === 'answer' ? called.value : null;
  }
}
