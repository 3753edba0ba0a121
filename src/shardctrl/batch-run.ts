/**
 * Carries out one batch: the driver's half of a move in the guards table of resharding.md (and of `Move` in the model).
 *
 *   running     BeginExport, Freeze, copy, Install → publish
 *   cancelling  AbortImport until `aborted` (`installed`: publish after all) → Unfreeze → batch_aborted
 *   published   Delete, wait for the purge → batch_done
 *
 * It starts from what the controller's log says and repeats every step from there: a shard that has carried out a step
 * already says so. So a new driver needs to know nothing of the old one's.
 */

import type { FrozenGate } from './frozen-gate.js';
import type { Batch, BatchReceipt, PlanState } from './plan.js';
import { shardName } from './shard-map.js';
import type { FreezeReceipt, SlotAnswer, SlotCommand } from './shard-port.js';
import { formatSlots } from './slot-ranges.js';
import { type Asker, FOREVER, type Patience, type Tenure } from './tenure.js';

/** The only freeze round: a batch is undone rather than thawed, for it is small. */
const ROUND = 1;

type Installed = Extract<SlotAnswer, { kind: 'installed' }>;

type Forward =
  | { readonly kind: 'published' }
  /** Another driver has ended the batch. */
  | { readonly kind: 'ended' }
  | { readonly kind: 'give_up'; readonly reason: string };

const giveUp = (reason: string): Forward => ({ kind: 'give_up', reason });

export class BatchRun implements Asker {
  readonly #tenure: Tenure;
  readonly #gate: FrozenGate;
  readonly #batch: Batch;
  /** True: an earlier driver may have frozen it, so that nobody knows since when. */
  readonly #inherited: boolean;
  readonly #onStalled: () => void;
  #stalled = false;
  /** Monotonic time of sending Freeze; null: not sent. */
  #froze_ms: number | null = null;

  constructor(tenure: Tenure, gate: FrozenGate, batch: Batch, inherited: boolean, onStalled: () => void) {
    this.#tenure = tenure;
    this.#gate = gate;
    this.#batch = batch;
    this.#inherited = inherited;
    this.#onStalled = onStalled;
  }

  /** A shard does not answer: another batch may take its place. */
  get isStalled(): boolean {
    return this.#stalled;
  }

  stalled(stalled: boolean): void {
    if (stalled === this.#stalled) return;
    this.#stalled = stalled;
    this.#onStalled();
  }

  /** Resolves when the batch is no longer in flight, or another driver has taken it further. */
  async run(): Promise<void> {
    const { phase } = this.#batch;
    if (phase === 'published') return this.#cleanUp();
    const forward = phase === 'running' ? await this.#goForward() : giveUp(this.#batch.reason ?? 'cancelled');
    if (forward.kind === 'ended') return;
    if (forward.kind === 'published') return this.#cleanUp();
    if ((await this.#undo(forward.reason)) === 'published') await this.#cleanUp();
  }

  // ----------------------------------------------------------------------------------------------------------- forward

  async #goForward(): Promise<Forward> {
    const { from, plan } = this.#batch;
    const untilWoundUp: Patience = { until_ms: null, enough: () => this.#tenure.windingUp(plan) };
    const begun = await this.#settle(
      { ...this.#command('begin_export') },
      from,
      ['ok', 'undone', 'ended', 'stale'],
      untilWoundUp,
    );
    if (begun === null) return giveUp('the plan ends');
    if (begun.kind !== 'ok') return giveUp(`${shardName(from)} answered ${begun.kind} to BeginExport`);
    const leave = await this.#gate.enter(from);
    try {
      this.#tenure.check();
      const running = this.#tenure.planOf(plan);
      if (running === null || running.ending !== null) return giveUp('the plan ends');
      return await this.#whileFrozen(running);
    } finally {
      leave();
    }
  }

  async #whileFrozen(plan: PlanState): Promise<Forward> {
    const { from, to } = this.#batch;
    this.#froze_ms = this.#tenure.clock.monotonic_ms();
    const patience: Patience = { until_ms: this.#froze_ms + plan.max_pause_ms, enough: () => false };
    const within = `within the pause of ${plan.max_pause_ms} ms`;
    const frozen = await this.#ask({ ...this.#command('freeze'), round: ROUND }, from, patience);
    if (frozen === null) return giveUp(`${shardName(from)} did not confirm the freeze ${within}`);
    if (frozen.kind !== 'frozen') return giveUp(`${shardName(from)} answered ${frozen.kind} to Freeze`);
    const size = `${frozen.receipt.keys} keys (${frozen.receipt.bytes} bytes)`;
    for (let copies = 1; copies <= this.#tenure.settings.copiesMax; copies++) {
      if (!(await this.#copy(frozen.receipt, patience)))
        return giveUp(`${size} could not be copied to ${shardName(to)} ${within}`);
      const answer = await this.#install(frozen.receipt, patience);
      if (answer === null) return giveUp(`${shardName(to)} did not install ${size} ${within}`);
      if (answer.kind === 'installed') return this.#publish(frozen.receipt, answer);
      if (answer.kind !== 'mismatch') return giveUp(`${shardName(to)} answered ${answer.kind} to Install`);
      const digests = { source: frozen.receipt.digest, destination: answer.sums.digest };
      this.#event('warn', 'digests differ after a copy; copying again', digests);
    }
    return giveUp(`digests of ${shardName(from)} and ${shardName(to)} differ after every copy`);
  }

  /**
   * False: not in time. A refusal is no verdict: a destination that installed long ago, or has aborted, refuses pages
   * too; what it answers to Install tells.
   */
  async #copy(receipt: FreezeReceipt, patience: Patience): Promise<boolean> {
    const { from, to, move, slots } = this.#batch;
    const { batchKeys, batchBytes, call_timeout_ms } = this.#tenure.settings;
    // A usual batch is asked for again soon, should its source's leader die; a huge slot may take all the time there is.
    const huge = receipt.keys > batchKeys || receipt.bytes > batchBytes;
    for (let attempt = 1; ; attempt++) {
      const copied = await this.#tenure.ask(
        this,
        (timeout_ms) => this.#tenure.shards.copy(from, to, move, slots, timeout_ms),
        patience,
        huge ? Number.POSITIVE_INFINITY : call_timeout_ms,
      );
      if (copied === null) return false;
      if (copied.kind === 'copied' || copied.answer.kind !== 'busy') return true;
      await this.#tenure.sleep(this.#tenure.backOff_ms(attempt));
    }
  }

  #install(receipt: FreezeReceipt, patience: Patience): Promise<SlotAnswer | null> {
    const { digest, revision, clock_ms } = receipt;
    const command: SlotCommand = { ...this.#command('install'), round: ROUND, digest, revision, clock_ms };
    return this.#settle(command, this.#batch.to, null, patience);
  }

  async #publish(frozen: FreezeReceipt, installed: Installed): Promise<Forward> {
    const receipt: BatchReceipt = {
      keys: frozen.keys,
      bytes: frozen.bytes,
      idempotencyRecords: frozen.idempotencyRecords,
      sourceDigest: frozen.digest,
      destinationDigest: installed.sums.digest,
      freezeIndex: frozen.index,
      installIndex: installed.index,
      revision: frozen.revision,
      freeze_clock_ms: frozen.clock_ms,
      pause_ms: this.#pause_ms(),
    };
    const result = await this.#tenure.propose({ kind: 'publish', move: this.#batch.move, receipt });
    return { kind: result.kind === 'published' ? 'published' : 'ended' };
  }

  /** Since sending Freeze; null: not known, or nothing was frozen. */
  #pause_ms(): number | null {
    if (this.#inherited || this.#froze_ms === null) return null;
    return this.#tenure.clock.monotonic_ms() - this.#froze_ms;
  }

  // -------------------------------------------------------------------------------------------------------------- undo

  /** The destination's word decides; only after its `aborted` may the source serve again. */
  async #undo(reason: string): Promise<'published' | 'ended'> {
    const { from, to, move } = this.#batch;
    const cancelled = await this.#tenure.propose({ kind: 'cancel_batch', move, reason: reason.slice(0, 1_000) });
    if (cancelled.kind !== 'ok') return 'ended';
    this.#event('warn', 'a batch is undone', { reason });
    const answer = await this.#settle(this.#command('abort_import'), to, ['aborted', 'installed']);
    if (answer?.kind === 'installed') return this.#publishAfterAll(answer);
    await this.#settle(this.#command('unfreeze'), from, ['ok', 'undone', 'ended']);
    await this.#tenure.propose({ kind: 'batch_aborted', move, pause_ms: this.#pause_ms() });
    return 'ended';
  }

  /** It had installed, and cannot be aborted any more. The source is frozen then, and tells its receipt again. */
  async #publishAfterAll(installed: Installed): Promise<'published' | 'ended'> {
    const frozen = await this.#settle({ ...this.#command('freeze'), round: ROUND }, this.#batch.from, ['frozen']);
    if (frozen?.kind !== 'frozen') throw new Error('invariant: asked for ever and got no receipt');
    const forward = await this.#publish(frozen.receipt, installed);
    return forward.kind === 'published' ? 'published' : 'ended';
  }

  // ---------------------------------------------------------------------------------------------------------- clean up

  async #cleanUp(): Promise<void> {
    const { from, slots, move } = this.#batch;
    const pause_ms = this.#pause_ms();
    await this.#settle(this.#command('delete'), from, ['ok', 'ended']);
    const { shards, settings } = this.#tenure;
    while ((await this.#tenure.ask(this, (timeout_ms) => shards.purged(from, slots, timeout_ms))) !== true) {
      await this.#tenure.sleep(settings.purgePoll_ms);
    }
    await this.#tenure.propose({ kind: 'batch_done', move, pause_ms });
  }

  // -------------------------------------------------------------------------------------------------------------- asks

  #command<K extends SlotCommand['kind']>(kind: K): { kind: K; move: number; slots: Batch['slots'] } {
    return { kind, move: this.#batch.move, slots: this.#batch.slots };
  }

  #ask(command: SlotCommand, shard: number, patience: Patience): Promise<SlotAnswer | null> {
    return this.#tenure.ask(
      this,
      (timeout_ms) => this.#tenure.shards.slotCommand(shard, command, timeout_ms),
      patience,
    );
  }

  /**
   * Asks until the answer is one of `wanted` (null: anything but `busy`); null when patience has run out. Others are
   * `busy`, which passes, or what the guards table does not allow for a batch in flight: said aloud, and asked again,
   * since going on without the right answer is what makes two owners.
   */
  async #settle(
    command: SlotCommand,
    shard: number,
    wanted: readonly SlotAnswer['kind'][] | null,
    patience: Patience = FOREVER,
  ): Promise<SlotAnswer | null> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#ask(command, shard, patience);
      if (answer === null) return null;
      if (wanted === null ? answer.kind !== 'busy' : wanted.includes(answer.kind)) return answer;
      if (answer.kind !== 'busy') {
        this.#event('error', `${shardName(shard)} answered ${answer.kind} to ${command.kind}; asking again`, {});
      }
      this.stalled(true);
      await this.#tenure.sleep(this.#tenure.backOff_ms(attempt));
    }
  }

  #event(level: 'warn' | 'error', text: string, fields: Readonly<Record<string, unknown>>): void {
    const { plan, move, from, to, slots } = this.#batch;
    const where = { plan, move, from: shardName(from), to: shardName(to), slots: formatSlots(slots) };
    this.#tenure.event(level, text, { ...where, ...fields });
  }
}
