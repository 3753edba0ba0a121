/**
 * The verification of a plan: its receipts, page by page, and whether what they prove still holds. Slots must not move
 * meanwhile: then nobody could tell what is on its way from what was left behind.
 */
import type { Clock, GroupId, NodeId } from '../../../raft/index.js';
import {
  type AuditResult,
  equalSlots,
  NO_SLOTS,
  ReceiptAudit,
  type Remains,
  type ShardMember,
  type SlotRanges,
  shardName,
  subtractSlots,
  unionSlots,
} from '../../../shardctrl/index.js';
import type { VerifyDifference, VerifyPlanView } from '../api.js';
import type { ControllerCaller } from '../controller-caller.js';
import { delay } from '../waiting.js';
import type { Reported } from './compare-replicas.js';
import type { PlanAudit } from './controller-audit.js';
import { difference, names } from './difference.js';

const PAGE_RECEIPTS = 200;
const ASK_MS = 5_000;
const PATIENCE_MS = 60_000;
const PAUSE_MS = 200;

export interface PlanVerificationOptions {
  readonly clock: Clock;
  readonly controller: Pick<ControllerCaller, 'audit' | 'auditedReceipts'>;
  readonly remains: (shard: GroupId, members: readonly ShardMember[], timeout_ms: number) => Promise<Remains>;
}

/** A plan that is there and over, while no other one is under way. */
export type AuditedPlan = PlanAudit & {
  readonly plan: NonNullable<PlanAudit['plan']>;
  readonly map: NonNullable<PlanAudit['map']>;
};

export class PlanVerification {
  readonly #options: PlanVerificationOptions;
  readonly #before: AuditedPlan;
  readonly #audit: ReceiptAudit;
  readonly #differences: VerifyDifference[] = [];
  readonly #unchecked: string[] = [];
  #result: AuditResult | null = null;
  #cancelled = false;

  constructor(before: AuditedPlan, options: PlanVerificationOptions) {
    this.#before = before;
    this.#options = options;
    this.#audit = new ReceiptAudit(before.plan);
  }

  get differences(): readonly VerifyDifference[] {
    return this.#differences;
  }

  /** All that can be said of a plan has been. */
  get complete(): boolean {
    return this.#result !== null && this.#unchecked.length === 0;
  }

  cancel(): void {
    this.#cancelled = true;
  }

  /** Slots of which nothing must be left in a shard. */
  goneFrom(shard: GroupId): SlotRanges {
    return this.#result?.gone.get(shard) ?? NO_SLOTS;
  }

  async readReceipts(): Promise<void> {
    const { plan, map, later } = this.#before;
    while (this.#audit.checked < plan.receipts && !this.#cancelled) {
      const page = await this.#page(this.#audit.checked + 1);
      if (page === null) return;
      for (const receipt of page) this.#audit.add(receipt);
      if (page.length === 0) break;
    }
    if (this.#cancelled) return;
    this.#result = this.#audit.finish(map, later);
    for (const { slots, detail } of this.#result.faults) {
      this.#differences.push(difference({ kind: 'receipt', nodes: [], slots, detail }));
    }
    this.#unchecked.push(...this.#result.unchecked);
    await this.#lookForRetired();
  }

  async #page(first: number) {
    const { clock, controller } = this.#options;
    const begun_ms = clock.monotonic_ms();
    for (;;) {
      const page = await controller.auditedReceipts(this.#before.plan.id, first, PAGE_RECEIPTS, ASK_MS);
      if (page !== null) return page;
      if (this.#cancelled || clock.monotonic_ms() - begun_ms >= PATIENCE_MS) break;
      await delay(clock, PAUSE_MS);
    }
    this.#unchecked.push(
      `receipts from number ${first} on: the controller did not answer for ${PATIENCE_MS / 1_000} s`,
    );
    return null;
  }

  /** What was a source and is gone as a whole must be gone from the disks of all that had it. */
  async #lookForRetired(): Promise<void> {
    const { plan, map, retired } = this.#before;
    const sources = new Set(plan.moves.map(({ from }) => from));
    for (const { shard, members } of retired) {
      if (!sources.has(shard) || map.shards.some(({ id }) => id === shard)) continue;
      const { hosting, silent } = await this.#options.remains(shard, members, ASK_MS);
      if (hosting.length > 0) {
        const detail = `${shardName(shard)} is gone, but ${names(hosting)} still ${hosting.length === 1 ? 'has' : 'have'} its data`;
        this.#differences.push(difference({ kind: 'remains', nodes: hosting, detail }));
      }
      const left = silent.filter((node) => this.#isMember(node));
      if (left.length > 0)
        this.#unchecked.push(`that the data of ${shardName(shard)} is gone: ${names(left)} did not answer`);
    }
  }

  /** A node that has left for good holds nothing that anybody could ask it for. */
  #isMember(node: NodeId): boolean {
    return this.#before.map.nodes.some(({ id }) => id === node);
  }

  /** What the replicas of a shard have said, against the map and the receipts. */
  judgeShard(shard: GroupId, reports: readonly Reported[]): void {
    const owned = this.#before.map.shards.find(({ id }) => id === shard)?.slots ?? NO_SLOTS;
    const reached = this.#result?.reached.get(shard) ?? 0;
    for (const { node, said } of reports) {
      const name = shardName(shard);
      if (!equalSlots(said.served, owned)) {
        const slots = unionSlots(subtractSlots(said.served, owned), subtractSlots(owned, said.served));
        const detail = `the replica of ${name} on ${node} does not serve what the map gives to ${name}`;
        this.#differences.push(difference({ kind: 'owner', nodes: [node], slots, detail }));
      }
      if (said.index < reached) {
        const detail = `the log of ${name} is at ${said.index} on ${node}, a receipt names index ${reached}`;
        this.#differences.push(difference({ kind: 'receipt', nodes: [node], detail }));
      }
    }
  }

  /** After all: whether slots have begun to move meanwhile. Then what was found of remains and owners means nothing. */
  async stoodStill(): Promise<boolean> {
    const now = await this.#options.controller.audit(this.#before.plan.id, PATIENCE_MS);
    const why =
      now === null
        ? 'the controller does not answer, so that a plan may have begun'
        : now.latest === this.#before.latest
          ? null
          : `plan ${now.latest} has begun`;
    if (why === null) return true;
    const kept = this.#differences.filter(({ kind }) => kind === 'receipt');
    this.#differences.splice(0, this.#differences.length, ...kept);
    this.#unchecked.push(`where slots are and what was left behind: ${why}; verify again once no slots move`);
    return false;
  }

  view(): VerifyPlanView {
    const { id, status, receipts } = this.#before.plan;
    return {
      id,
      state: status,
      receipts,
      checked: this.#audit.checked,
      keys: this.#audit.keys,
      bytes: this.#audit.bytes,
      differences: this.#differences,
      unchecked: this.#unchecked,
    };
  }
}
