/**
 * The verification of one shard: its members are told to wait for a mark, the leader puts it into the log, each member reads
 * what it has at that index, and what they say is compared. Nothing here has to be undone: a member that is not asked any more
 * lets go by itself, and a mark that nobody waits for does nothing.
 *
 * A change of leaders in between changes nothing either: once the mark is committed it is the same index for all, and each
 * member reads for itself.
 */
import type { Clock, GroupId, NodeId } from '../../../raft/index.js';
import { firstSlots, ShardUnavailable, type SlotRanges, shardName, unionSlots } from '../../../shardctrl/index.js';
import type { RecordListing, ViewReport } from '../../store/index.js';
import type { VerifyDifference, VerifyReplicaView, VerifyShardView } from '../api.js';
import { delay } from '../waiting.js';
import {
  compareListings,
  compareReports,
  compareSlots,
  findingsOf,
  type Reported,
  type Said,
} from './compare-replicas.js';
import { difference } from './difference.js';
import type { ViewAnswer, ViewCall } from './view-schemas.js';

const ASK_MS = 2_000;
/** A member that does not answer may have let a message fall, or be about to connect. */
const PREPARE_MS = 5_000;
const MARK_MS = 15_000;
/** So long a member may show no progress before it counts as one that did not answer. */
const PATIENCE_MS = 60_000;
const KEEP_MS = 5_000;
const POLL_MS_MIN = 50;
const POLL_MS_MAX = 1_000;
/** What is looked at more closely where replicas differ: enough to see what it is. */
const BLOCKS_MAX = 8;
const LISTED_SLOTS_MAX = 16;

export interface ShardTask {
  readonly shard: GroupId;
  readonly nodes: readonly NodeId[];
  readonly token: string;
  /** Read all records. */
  readonly records: boolean;
  /** Slots of which nothing must be left. */
  readonly gone: SlotRanges;
  readonly bytesPerS: number;
  readonly giveUp_ms: number;
}

export interface ShardVerificationOptions {
  readonly clock: Clock;
  /** null: no answer. */
  readonly ask: (node: NodeId, call: ViewCall, timeout_ms: number) => Promise<ViewAnswer | null>;
  /** The index of the mark. Rejects with `ShardUnavailable`. */
  readonly mark: (shard: GroupId, token: string, timeout_ms: number) => Promise<number>;
  /** The node has been silent for so long that nobody should wait for it. */
  readonly down: (node: NodeId) => boolean;
}

interface Member {
  readonly node: NodeId;
  state: VerifyReplicaView['state'];
  detail: string | null;
  prepared: boolean;
  report: ViewReport | null;
  keys: number | null;
  bytes: number | null;
  read: number;
  /** What it said last, and when that was something else than before. */
  said: string;
  moved_ms: number;
}

export class ShardVerification {
  readonly task: ShardTask;
  readonly #options: ShardVerificationOptions;
  readonly #members: readonly Member[];
  #state: VerifyShardView['state'] = 'waiting';
  #index: number | null = null;
  #differences: readonly VerifyDifference[] = [];
  #cancelled = false;
  #kept_ms = 0;

  constructor(task: ShardTask, options: ShardVerificationOptions) {
    this.task = task;
    this.#options = options;
    const now_ms = options.clock.monotonic_ms();
    this.#members = task.nodes.map(
      (node): Member => ({
        node,
        state: 'waiting',
        detail: null,
        prepared: false,
        report: null,
        keys: null,
        bytes: null,
        read: 0,
        said: '',
        moved_ms: now_ms,
      }),
    );
  }

  get differences(): readonly VerifyDifference[] {
    return this.#differences;
  }

  /** All members have been compared. */
  get complete(): boolean {
    return this.#state === 'done' && this.#members.every(({ state }) => state === 'read');
  }

  get reports(): readonly Reported[] {
    return this.#members.flatMap(({ node, report }) => (report === null ? [] : [{ node, said: report }]));
  }

  cancel(): void {
    this.#cancelled = true;
  }

  /** What was found of this kind turns out to mean nothing. */
  forget(kind: VerifyDifference['kind']): void {
    this.#differences = this.#differences.filter((found) => found.kind !== kind);
  }

  async run(): Promise<void> {
    this.#state = 'preparing';
    for (const member of this.#members) member.moved_ms = this.#now_ms;
    try {
      await this.#prepareAll();
      if (!this.#cancelled && (await this.#mark())) {
        this.#state = 'reading';
        await this.#untilRead();
        this.#state = 'comparing';
        if (!this.#cancelled) await this.#compare();
      }
    } finally {
      this.#state = 'done';
      await Promise.all(this.#members.map(({ node }) => this.#ask(node, { op: 'release', token: this.task.token })));
    }
  }

  get #now_ms(): number {
    return this.#options.clock.monotonic_ms();
  }

  #ask(node: NodeId, call: ViewCall): Promise<ViewAnswer | null> {
    return this.#options.ask(node, call, ASK_MS);
  }

  get #open(): readonly Member[] {
    return this.#members.filter(({ state }) => state === 'waiting' || state === 'reading');
  }

  // ------------------------------------------------------------------------------------------------ prepare and mark

  /** Every member that answers waits for the mark, or says why it cannot. Those that are silent may still come in time. */
  async #prepareAll(): Promise<void> {
    const begun_ms = this.#now_ms;
    await this.#poll(async (member) => {
      await this.#prepare(member);
      const waited = this.#options.down(member.node) || this.#now_ms - begun_ms >= PREPARE_MS;
      return member.prepared || (member.said === SILENT && waited);
    });
  }

  async #prepare(member: Member): Promise<void> {
    const { shard, token, records, gone, bytesPerS, giveUp_ms } = this.task;
    const answer = await this.#ask(member.node, { op: 'prepare', token, shard, records, gone, bytesPerS, giveUp_ms });
    this.#heard(member, answer);
    if (answer?.kind === 'ready') {
      member.prepared = true;
      member.detail = null;
    }
  }

  async #mark(): Promise<boolean> {
    if (!this.#members.some(({ prepared }) => prepared)) return false;
    try {
      this.#index = await this.#options.mark(this.task.shard, this.task.token, MARK_MS);
      for (const member of this.#open) member.moved_ms = this.#now_ms;
      return true;
    } catch (error) {
      if (!(error instanceof ShardUnavailable)) throw error;
      const why = `${shardName(this.task.shard)} has no leader that could put a mark into its log: ${error.message}`;
      for (const member of this.#open) this.#end(member, 'unanswered', why);
      return false;
    }
  }

  // ------------------------------------------------------------------------------------------------------------ read

  /** Until each member has been read, has failed, or has shown nothing new for too long. */
  #untilRead(): Promise<void> {
    return this.#poll(async (member) => {
      const answer = await this.#ask(member.node, { op: 'look', token: this.task.token, index: this.#index });
      // It was away when the others were told, or has started since: it may not have got to the mark yet.
      if (answer?.kind === 'unknown') await this.#prepare(member);
      else this.#heard(member, answer);
      return false;
    });
  }

  /** Asks all that are open again and again, until `ask` says of each that it is enough, or it is open no more. */
  async #poll(ask: (member: Member) => Promise<boolean>): Promise<void> {
    const enough = new Set<Member>();
    for (let pause_ms = POLL_MS_MIN; ; pause_ms = Math.min(pause_ms * 1.5, POLL_MS_MAX)) {
      const left = this.#open.filter((member) => !enough.has(member));
      if (left.length === 0 || this.#cancelled) return;
      await Promise.all([
        ...left.map(async (member) => {
          if (await ask(member)) enough.add(member);
          else this.#judgePatience(member);
        }),
        this.#keepRead(),
      ]);
      await delay(this.#options.clock, pause_ms);
    }
  }

  /** Those that have been read wait for the others, and let go if nobody asks for them. */
  async #keepRead(): Promise<void> {
    if (this.#now_ms - this.#kept_ms < KEEP_MS) return;
    this.#kept_ms = this.#now_ms;
    await Promise.all(this.reports.map(({ node }) => this.#ask(node, { op: 'keep', token: this.task.token })));
  }

  #heard(member: Member, answer: ViewAnswer | null): void {
    const said = answer === null ? SILENT : JSON.stringify(answer.kind === 'read' ? 'read' : answer);
    if (said !== member.said && answer !== null) member.moved_ms = this.#now_ms;
    member.said = said;
    switch (answer?.kind) {
      case 'busy':
        member.detail = `${member.node} is at another verification: ${answer.by}`;
        break;
      case 'waiting':
        member.detail = `it is at index ${answer.applied}`;
        break;
      case 'reading':
        member.state = 'reading';
        member.detail = null;
        Object.assign(member, { keys: answer.keys, bytes: answer.bytes, read: answer.read });
        break;
      case 'read':
        Object.assign(member, { keys: answer.keys, bytes: answer.bytes, read: answer.bytes, report: answer.report });
        this.#end(member, 'read', null);
        break;
      case 'failed':
        this.#end(member, 'failed', answer.detail);
        break;
    }
  }

  #judgePatience(member: Member): void {
    if (member.state !== 'waiting' && member.state !== 'reading') return;
    if (this.#options.down(member.node)) return this.#end(member, 'unanswered', `${member.node} is down`);
    if (this.#now_ms - member.moved_ms < PATIENCE_MS) return;
    const waited = `for ${PATIENCE_MS / 1_000} s`;
    const why =
      member.said === SILENT
        ? `${member.node} has not answered ${waited}`
        : `${member.node} has come no further ${waited}${member.detail === null ? '' : `: ${member.detail}`}${this.#markText()}`;
    this.#end(member, 'unanswered', why);
  }

  #markText(): string {
    return this.#index === null ? '' : `, the mark is at ${this.#index}`;
  }

  #end(member: Member, state: 'read' | 'unanswered' | 'failed', detail: string | null): void {
    member.state = state;
    member.detail = detail;
  }

  // --------------------------------------------------------------------------------------------------------- compare

  async #compare(): Promise<void> {
    this.#sortOutOthers();
    const reports = this.reports;
    const { differences, blocks } = compareReports(reports);
    let found = [...reports.flatMap(findingsOf), ...differences];
    this.#differences = found;
    const { differences: bySlot, slots } = await this.#compareBlocks(blocks.slice(0, BLOCKS_MAX));
    found = [...found, ...bySlot];
    if (blocks.length > BLOCKS_MAX) found.push(this.#moreBlocks(blocks.length));
    this.#differences = found;
    if (!this.task.records) return;
    const odd = reports.reduce((all, { said }) => unionSlots(all, said.odd), slots);
    this.#differences = [...found, ...(await this.#compareKeys(firstSlots(odd, LISTED_SLOTS_MAX)))];
  }

  /** The mark was put in twice, and somebody who came late has only seen the second one: that is another state. */
  #sortOutOthers(): void {
    const indexes = this.reports.map(({ said }) => said.index);
    const first = Math.min(...indexes);
    for (const member of this.#members) {
      if (member.report === null || member.report.index === first) continue;
      member.report = null;
      this.#end(member, 'unanswered', 'it was not there when the others looked, and has looked at a later state');
    }
    if (indexes.length > 0) this.#index = first;
  }

  #moreBlocks(count: number): VerifyDifference {
    const nodes = this.reports.map(({ node }) => node);
    const detail = `replicas differ in ${count} of 64 blocks of slots; the first ${BLOCKS_MAX} were looked at`;
    return difference({ kind: 'more', nodes, detail });
  }

  async #compareBlocks(blocks: readonly number[]) {
    let slots: SlotRanges = [];
    const differences: VerifyDifference[] = [];
    for (const block of blocks) {
      const said = await this.#sayAll({ op: 'slots', token: this.task.token, block }, (answer) =>
        answer.kind === 'slots' ? answer.slots : null,
      );
      const compared = compareSlots(block, said);
      differences.push(...compared.differences);
      slots = unionSlots(slots, compared.slots);
    }
    return { differences, slots };
  }

  /** What those that were read answer to the same question. */
  async #sayAll<T>(call: ViewCall, read: (answer: ViewAnswer) => T | null): Promise<readonly Said<T>[]> {
    const said = await Promise.all(
      this.reports.map(async ({ node }): Promise<readonly Said<T>[]> => {
        const answer = await this.#ask(node, call);
        const value = answer === null ? null : read(answer);
        return value === null ? [] : [{ node, said: value }];
      }),
    );
    return said.flat();
  }

  /** Reads all records once more, to name the keys: only where something is wrong. */
  async #compareKeys(slots: SlotRanges): Promise<readonly VerifyDifference[]> {
    if (slots.length === 0) return [];
    const listed = new Map<NodeId, RecordListing | null>();
    const begun_ms = this.#now_ms;
    while (!this.#cancelled && this.#now_ms - begun_ms < this.task.giveUp_ms) {
      const left = this.reports.filter(({ node }) => !listed.has(node));
      if (left.length === 0) break;
      await Promise.all(left.map(async ({ node }) => this.#list(node, slots, listed)));
      await delay(this.#options.clock, POLL_MS_MAX / 4);
    }
    return compareListings([...listed].flatMap(([node, said]) => (said === null ? [] : [{ node, said }])));
  }

  async #list(node: NodeId, slots: SlotRanges, listed: Map<NodeId, RecordListing | null>): Promise<void> {
    const answer = await this.#ask(node, { op: 'list', token: this.task.token, slots: [...slots] });
    if (answer?.kind === 'listed') listed.set(node, answer.listing);
    else if (answer?.kind === 'listing') return;
    else if (answer !== null || this.#options.down(node)) listed.set(node, null);
  }

  // ------------------------------------------------------------------------------------------------------------ view

  view(): VerifyShardView {
    return {
      id: shardName(this.task.shard),
      scope: this.task.records ? 'records' : 'slots',
      state: this.#state,
      index: this.#index,
      replicas: this.#members.map(replicaView),
      differences: this.#differences,
    };
  }
}

const SILENT = 'silent';

function replicaView({ node, state, detail, report, keys, bytes, read }: Member): VerifyReplicaView {
  const { index = null, stateHash = null } = report ?? {};
  return { node, state, detail, index, state_hash: stateHash, keys, bytes, read_bytes: read };
}
