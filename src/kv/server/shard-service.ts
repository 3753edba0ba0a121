/**
 * What a shard's leader does for the controller's driver and for other shards' leaders: slot commands and pages go into
 * its log, questions are answered from its applied state, copies run here. Disks are every member's own.
 */
import type { z } from 'zod';
import type { Clock, GroupId, NodeId, Replica, ReplicaHost } from '../../raft/index.js';
import {
  CONTROLLER_GROUP,
  type CopyAnswer,
  ShardUnavailable,
  type SlotAnswer,
  SlotState,
} from '../../shardctrl/index.js';
import { CopyPace, copySlots, type Installer, type NodeWork } from '../migration/index.js';
import { encodeCommand, type KvResult, type KvStateMachine, stampCommand } from '../store/index.js';
import { handleJson } from './json-rpc.js';
import { onState } from './on-state.js';
import { Method, type Rpc } from './rpc.js';
import type { ShardCaller } from './shard-caller.js';
import {
  copyRequestSchema,
  type LeaderAnswer,
  pageRequestSchema,
  queryRequestSchema,
  type ShardQuery,
  slotRequestSchema,
} from './shard-schemas.js';
import type { StampClock } from './stamp-clock.js';
import { delay, propose, readBarrier } from './waiting.js';

const BARRIER_MS = 2_000;
const FROZEN_MS_MAX = 100;
const FROZEN_POLL_MS = 5;
const LEADS_POLL_MS = 500;
/** After so long without an answer of the destination, a page is sent on only by who still leads. */
const PAGE_MS = 2_000;

export interface ShardServiceOptions {
  readonly host: ReplicaHost;
  readonly rpc: Rpc;
  readonly clock: Clock;
  readonly stampOf: (shard: GroupId) => StampClock;
  readonly caller: ShardCaller;
  /** A slot command has been applied here: what is held for its slots may go on. */
  readonly slotsChanged: () => void;
  readonly work: NodeWork;
  /** Space of the shard is about to be given back here: nobody must hold on to an older state of it. */
  readonly reclaiming: (shard: GroupId) => void;
  readonly failed: (error: unknown) => void;
}

type SlotRequest = z.infer<typeof slotRequestSchema>;
type PageRequest = z.infer<typeof pageRequestSchema>;
export type CopyRequest = z.infer<typeof copyRequestSchema>;

export class ShardService {
  readonly #options: ShardServiceOptions;
  /** The last one of each shard, under way or done. */
  readonly #reclaims = new Map<GroupId, { readonly run: string; readonly answer: Promise<LeaderAnswer<true>> }>();

  constructor(options: ShardServiceOptions) {
    this.#options = options;
    const { rpc, failed } = options;
    handleJson(rpc, Method.SlotCommand, slotRequestSchema, (request) => this.slotCommand(request), failed);
    handleJson(rpc, Method.Page, pageRequestSchema, (request) => this.page(request), failed);
    handleJson(rpc, Method.Copy, copyRequestSchema, (request) => this.copy(request), failed);
    handleJson(rpc, Method.ShardQuery, queryRequestSchema, (request) => this.query(request), failed);
  }

  async slotCommand(request: SlotRequest): Promise<LeaderAnswer<SlotAnswer>> {
    const answer = await this.#propose(request.shard, encodeCommand(request.command, 0));
    this.#options.slotsChanged();
    return answer;
  }

  /** Of one turn: they share a commit. The answer is the last one's, or that of a page that was not taken. */
  async page({ shard, commands }: PageRequest): Promise<LeaderAnswer<SlotAnswer>> {
    const answers = await Promise.all(commands.map((command) => this.#propose(shard, Buffer.from(command))));
    const last = answers.at(-1)!;
    // Asked again after it was installed, a page is not taken any more: what counts is that all of it is there.
    if (last.ok && last.value.kind === 'installed') {
      this.#options.slotsChanged();
      return last;
    }
    return answers.find((answer) => !answer.ok || answer.value.kind !== 'ok') ?? last;
  }

  /** Every command here is idempotent: an unknown outcome is told as "not (known to be) done here", and asked again. */
  async #propose(shard: GroupId, command: Buffer): Promise<LeaderAnswer<SlotAnswer>> {
    const replica = this.#leading(shard);
    if (replica === null) return this.#elsewhere(shard);
    const machine = replica.machine as KvStateMachine;
    stampCommand(command, this.#options.stampOf(shard).next(machine.clock_ms));
    const proposed = await propose(replica, command);
    if (proposed.kind !== 'applied') return this.#elsewhere(shard);
    const result = proposed.result as KvResult;
    if (!isSlotAnswer(result))
      throw new Error(`shard s${shard} answered a slot command with ${JSON.stringify(result)}`);
    return { ok: true, value: result };
  }

  async copy(request: CopyRequest): Promise<LeaderAnswer<CopyAnswer>> {
    const replica = this.#leading(request.from);
    if (replica === null) return this.#elsewhere(request.from);
    const { clock, host, rpc } = this.#options;
    const deadline = clock.monotonic_ms() + request.timeout_ms;
    // Notes are numbered by whoever leads: a mark of another leader, or of an earlier term, tells nothing here.
    const by = `${rpc.self}/${replica.term}`;
    const since = request.since === null || request.since.by === by ? (request.since?.note ?? null) : 0;
    // A leader that has been deposed and does not know it would copy what was true once.
    if (request.since?.by !== by && !(await readBarrier(replica, clock, BARRIER_MS)))
      return this.#elsewhere(request.from);
    const pace = new CopyPace({ ...this.#options.work, clock, maxRate: request.maxRate, deadline_ms: deadline });
    try {
      const copied = await onState(host, replica, (machine: KvStateMachine) =>
        copySlots({
          move: request.move,
          slots: request.slots,
          machine,
          since,
          settled: () => replica.settled(),
          send: (page) => this.#sendPage(request, replica, pace, page, deadline),
          atOnce: () => (request.since === null ? pace.atOnce : 1),
          install: this.#installer(request, replica, deadline),
        }),
      );
      // The destination's word that it has installed is final, whoever leads here by now.
      if (copied?.kind === 'answered' && copied.answer.kind === 'installed') return { ok: true, value: copied };
      if (copied === null || !replica.leads) return this.#elsewhere(request.from);
      if (copied.kind !== 'copied') return { ok: true, value: copied };
      const { upTo, ...rest } = copied;
      return { ok: true, value: { ...rest, mark: { by, note: upTo } } };
    } catch (error) {
      if (error instanceof ShardUnavailable) return this.#elsewhere(request.from);
      throw error;
    }
  }

  /**
   * The bulk of a copy leaves the shards half of the time to their clients, and all of it while clients wait for slots that are
   * frozen here; its last changes hurry. Who leads no more goes no further: what it copied would not count.
   */
  async #sendPage(
    request: CopyRequest,
    replica: Replica,
    pace: CopyPace,
    page: Buffer,
    deadline: number,
  ): Promise<SlotAnswer> {
    const { clock } = this.#options;
    if (request.since === null) await this.nothingFrozen();
    const began_ms = clock.monotonic_ms();
    const answer = await this.#deliver(request, replica, [page], deadline);
    if (request.since === null) await this.#rest(request, replica, pace.rest_ms(page.length, began_ms));
    return answer;
  }

  #installer(request: CopyRequest, replica: Replica, deadline: number): Installer | null {
    if (request.install === null) return null;
    const { command, within_ms } = request.install;
    const { clock } = this.#options;
    const end_ms = clock.monotonic_ms() + within_ms;
    const install = encodeCommand(command, 0);
    return {
      late: () => clock.monotonic_ms() > end_ms,
      send: (page) => this.#deliver(request, replica, page === null ? [install] : [page, install], deadline),
    };
  }

  async #deliver(
    { from, to }: CopyRequest,
    replica: Replica,
    commands: readonly Buffer[],
    deadline: number,
  ): Promise<SlotAnswer> {
    const { caller, clock } = this.#options;
    for (;;) {
      mustLead(replica, from);
      const left_ms = Math.max(1, deadline - clock.monotonic_ms());
      try {
        return await caller.page(to, commands, Math.min(left_ms, PAGE_MS));
      } catch (error) {
        if (!(error instanceof ShardUnavailable) || left_ms <= PAGE_MS) throw error;
      }
    }
  }

  /** Where the rate is low, minutes; a change of leadership ends it. */
  async #rest({ from }: CopyRequest, replica: Replica, rest_ms: number): Promise<void> {
    let left_ms = rest_ms;
    do {
      await delay(this.#options.clock, Math.min(left_ms, LEADS_POLL_MS));
      mustLead(replica, from);
      left_ms -= LEADS_POLL_MS;
    } while (left_ms > 0);
  }

  /** Resolves when no slot of this node's replicas is frozen; at the latest after a while: a freeze may have lost its driver. */
  async nothingFrozen(): Promise<void> {
    const { clock, host } = this.#options;
    const end_ms = clock.monotonic_ms() + FROZEN_MS_MAX;
    const isFrozen = (group: GroupId): boolean => {
      const replica = host.get(group);
      if (group === CONTROLLER_GROUP || replica === undefined || replica.damage !== null) return false;
      return (replica.machine as KvStateMachine).slotsInState(SlotState.Frozen).length > 0;
    };
    while (host.groups().some(isFrozen) && clock.monotonic_ms() < end_ms) await delay(clock, FROZEN_POLL_MS);
  }

  async query(query: ShardQuery): Promise<LeaderAnswer<unknown>> {
    if (query.kind === 'reclaim') return this.#reclaimOnce(query.shard, query.run);
    if (query.kind === 'mark') return this.#mark(query.shard, query.token);
    const replica = this.#leading(query.shard);
    if (replica === null || !(await readBarrier(replica, this.#options.clock, BARRIER_MS))) {
      return this.#elsewhere(query.shard);
    }
    const machine = replica.machine as KvStateMachine;
    switch (query.kind) {
      case 'stats':
        return { ok: true, value: machine.slotStats(query.slots) };
      case 'purged':
        return { ok: true, value: machine.purged(query.slots) };
      case 'ready':
        return replica.leads ? { ok: true, value: true } : this.#elsewhere(query.shard);
    }
  }

  /** The index of the mark. */
  async #mark(shard: GroupId, token: string): Promise<LeaderAnswer<number>> {
    const replica = this.#leading(shard);
    if (replica === null) return this.#elsewhere(shard);
    // It is stamped for the format's sake: a mark changes nothing, the clock neither.
    const command = encodeCommand({ kind: 'mark', token }, (replica.machine as KvStateMachine).clock_ms);
    const proposed = await propose(replica, command);
    return proposed.kind === 'applied' ? { ok: true, value: proposed.index } : this.#elsewhere(shard);
  }

  #reclaimOnce(shard: GroupId, run: string): Promise<LeaderAnswer<true>> {
    const known = this.#reclaims.get(shard);
    if (known?.run === run) return known.answer;
    const answer = this.#reclaim(shard);
    this.#reclaims.set(shard, { run, answer });
    // What did not work out is tried again with the next question.
    const forget = (): void => {
      if (this.#reclaims.get(shard)?.answer === answer) this.#reclaims.delete(shard);
    };
    answer.then(({ ok }) => (ok ? undefined : forget()), forget);
    return answer;
  }

  /**
   * On this node's disk, whoever leads: every replica has a copy of what has left the shard. The barrier makes sure that
   * its deletion has been applied here.
   */
  async #reclaim(shard: GroupId): Promise<LeaderAnswer<true>> {
    const { host, clock } = this.#options;
    const replica = host.get(shard);
    // What is damaged is kept for a person to look at, until it is removed as a whole.
    if (replica === undefined || replica.damage !== null) return { ok: true, value: true };
    if (!(await readBarrier(replica, clock, BARRIER_MS))) return this.#elsewhere(shard);
    this.#options.reclaiming(shard);
    const done = await onState(host, replica, () => reclaimed(replica));
    return done === null ? this.#elsewhere(shard) : { ok: true, value: true };
  }

  #leading(shard: GroupId): Replica | null {
    const replica = this.#options.host.get(shard);
    return replica?.leads === true ? replica : null;
  }

  #elsewhere(shard: GroupId): { ok: false; leader: NodeId | null } {
    const leader = this.#options.host.get(shard)?.leaderNode ?? null;
    return { ok: false, leader };
  }
}

function mustLead(replica: Replica, shard: GroupId): void {
  if (!replica.leads) throw new ShardUnavailable(`this node leads s${shard} no more`);
}

async function reclaimed(replica: Replica): Promise<true> {
  // Rows gather for a moment before they reach the engine.
  await replica.settled();
  await replica.engine.reclaim(Buffer.from([0x00]), Buffer.from([0xff]));
  return true;
}

const SLOT_ANSWERS: ReadonlySet<string> = new Set<SlotAnswer['kind']>([
  'ok',
  'frozen',
  'installed',
  'aborted',
  'undone',
  'thawed',
  'ended',
  'stale',
  'round_over',
  'mismatch',
  'busy',
]);

const isSlotAnswer = (result: KvResult): result is SlotAnswer => SLOT_ANSWERS.has(result.kind);
