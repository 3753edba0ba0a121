/**
 * Carries out one batch: the driver's half of a move in the guards table of resharding.md (and of `Move` in the model).
 *
 *   running     BeginExport, copy while serving, then in rounds: catch up, Freeze, last changes and Install → publish;
 *               what takes longer than a pause may last is thawed (Bar, Thaw) and tried again in the next round
 *   cancelling  AbortImport until `aborted` (`installed`: publish after all) → Unfreeze → batch_aborted
 *   published   Delete, wait for the purge → batch_done
 *
 * It starts from what the controller's log says and repeats every step from there: a shard that has carried out a step
 * already says so. A batch that an earlier driver has begun and not published is undone, for nobody knows in which round it
 * was; unless it turns out to be installed.
 */

import type { FrozenGate } from './frozen-gate.js';
import type { Batch, BatchReceipt, PlanState } from './plan.js';
import { shardName } from './shard-map.js';
import type {
  CopyAnswer,
  CopyMark,
  CopyOrder,
  FreezeReceipt,
  InstallOrder,
  SlotAnswer,
  SlotCommand,
} from './shard-port.js';
import { formatSlots } from './slot-ranges.js';
import { type Asker, FOREVER, type Patience, type Tenure } from './tenure.js';

type Installed = Extract<SlotAnswer, { kind: 'installed' }>;

type Forward =
  | { readonly kind: 'published' }
  /** Another driver has ended the batch. */
  | { readonly kind: 'ended' }
  | { readonly kind: 'give_up'; readonly reason: string };

/** How a round ended. */
type Round =
  | Forward
  /** The source serves again. `mark` null: everything has to be copied anew. */
  | { readonly kind: 'thawed'; readonly mark: CopyMark | null }
  /** It was not frozen: one of the shards did not answer in time. */
  | { readonly kind: 'not_frozen'; readonly mark: CopyMark }
  /** Nor then: what it takes to install would not have fitted into the pause just now. */
  | { readonly kind: 'deferred'; readonly mark: CopyMark };

/** What is to be thawed, once others may freeze. */
interface ToThaw {
  readonly kind: 'to_thaw';
  readonly receipt: FreezeReceipt;
  readonly mark: CopyMark | null;
}

type GiveUp = Extract<Forward, { kind: 'give_up' }>;

/** What a copy came to: done up to the mark, or why the batch is given up, or out of time. */
type CopyStep = Extract<CopyAnswer, { kind: 'copied' }> | GiveUp | null;

/** The destination's answer to Install, behind the last changes; `copied`: these took too long. null: out of time. */
type InstallStep = Exclude<CopyAnswer, { kind: 'refused' }> | GiveUp | null;

const giveUp = (reason: string): GiveUp => ({ kind: 'give_up', reason });

export class BatchRun implements Asker {
  readonly #tenure: Tenure;
  readonly #gate: FrozenGate;
  readonly #batch: Batch;
  /** Why it is undone: somebody was at it before, and may have frozen it, so that nobody knows since when. null: nobody was. */
  readonly #inherited: string | null;
  readonly #onStalled: () => void;
  #stalled = false;
  /** Monotonic time of sending Freeze, while that round is frozen, or may be. */
  #froze_ms: number | null = null;
  /** Of rounds that were thawed. */
  #longestPause_ms = 0;
  #copies = 0;
  #deferrals = 0;

  constructor(tenure: Tenure, gate: FrozenGate, batch: Batch, inherited: string | null, onStalled: () => void) {
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
    const forward = await this.#forward(phase);
    if (forward.kind === 'ended') return;
    if (forward.kind === 'published') return this.#cleanUp();
    if ((await this.#undo(forward.reason)) === 'published') await this.#cleanUp();
  }

  // ----------------------------------------------------------------------------------------------------------- forward

  #forward(phase: Batch['phase']): Promise<Forward> | Forward {
    if (phase !== 'running') return giveUp(this.#batch.reason ?? 'cancelled');
    if (this.#inherited !== null) return giveUp(this.#inherited);
    return this.#goForward();
  }

  get #untilWoundUp(): Patience {
    return { until_ms: null, enough: () => this.#tenure.windingUp(this.#batch.plan) };
  }

  async #goForward(): Promise<Forward> {
    const { from } = this.#batch;
    const wanted = ['ok', 'undone', 'ended', 'stale'] as const;
    const begun = await this.#settle(this.#command('begin_export'), from, wanted, this.#untilWoundUp);
    if (begun === null) return PLAN_ENDS;
    if (begun.kind !== 'ok') return giveUp(`${shardName(from)} answered ${begun.kind} to BeginExport`);
    let mark: CopyMark | null = null;
    const { freezesMax, turnsMax } = this.#tenure.settings;
    let turns = 0;
    for (let round = 1; round <= freezesMax; ) {
      const ended = await this.#round(round, mark);
      if (ended.kind !== 'thawed' && ended.kind !== 'not_frozen' && ended.kind !== 'deferred') return ended;
      mark = ended.mark;
      if (ended.kind === 'thawed') round++;
      else if (ended.kind === 'not_frozen' && ++turns >= turnsMax) return this.#neverFrozen(turns);
      const tries = { thawed: round, not_frozen: turns, deferred: this.#deferrals }[ended.kind];
      await this.#tenure.sleep(this.#tenure.backOff_ms(tries));
    }
    const { max_pause_ms } = this.#tenure.planOf(this.#batch.plan) ?? {};
    return giveUp(
      `in ${freezesMax} rounds the last changes were never installed within the pause of ${max_pause_ms} ms (max_pause_ms)`,
    );
  }

  #neverFrozen(turns: number): GiveUp {
    const { from, to } = this.#batch;
    const { call_timeout_ms } = this.#tenure.settings;
    return giveUp(
      `${turns} times ${shardName(from)} and ${shardName(to)} were not ready for a freeze within ${call_timeout_ms} ms`,
    );
  }

  /** Everything that can be copied while the source serves; then, when it is this batch's turn, the rest. */
  async #round(round: number, since: CopyMark | null): Promise<Round> {
    const copied = await this.#catchUp(since, this.#untilWoundUp, this.#tenure.settings.drainsMax);
    if (copied === null) return PLAN_ENDS;
    if (copied.kind === 'give_up') return copied;
    // A copy of nothing asks nothing of the destination: as long as it is away, others of this source have their turn.
    if (!(await this.#destinationReady(this.#untilWoundUp))) return PLAN_ENDS;
    const ended = await this.#whenItsTurn(round, copied.mark);
    // Others may freeze meanwhile: the destination, which has to say its word, may be away for long.
    return ended.kind === 'to_thaw' ? this.#thaw(round, ended.receipt, ended.mark) : ended;
  }

  async #whenItsTurn(round: number, since: CopyMark): Promise<Round | ToThaw> {
    const leave = await this.#gate.enter(this.#batch.from);
    try {
      // Nobody waits long for his turn because of a shard that does not answer; and nothing is frozen for one that is away.
      const patience = soonerOf(this.#untilWoundUp, this.#in(this.#tenure.settings.call_timeout_ms));
      // It was served while it waited for its turn. Once: what is busy is never drained, and what is left may follow while frozen.
      const began_ms = this.#now_ms;
      const caughtUp = await this.#catchUp(since, patience, 1);
      const took_ms = this.#now_ms - began_ms;
      if (caughtUp?.kind === 'give_up') return caughtUp;
      const plan = this.#tenure.planOf(this.#batch.plan);
      if (plan === null || plan.ending !== null) return PLAN_ENDS;
      if (caughtUp === null || !(await this.#destinationReady(patience))) return { kind: 'not_frozen', mark: since };
      if (this.#defers(caughtUp, took_ms, plan.max_pause_ms)) return { kind: 'deferred', mark: caughtUp.mark };
      return await this.#whileFrozen(plan, round, caughtUp.mark);
    } finally {
      leave();
    }
  }

  /** A few changes took about as long as Freeze will, and Install behind the next ones. Some times it is worth a wait. */
  #defers({ records }: { readonly records: number }, took_ms: number, pause_ms: number): boolean {
    const { deferralsMax, drainedAt } = this.#tenure.settings;
    const slow = records > 0 && records <= drainedAt && 2 * took_ms > pause_ms;
    if (!slow || this.#deferrals >= deferralsMax) return false;
    this.#deferrals++;
    return true;
  }

  async #destinationReady(patience: Patience): Promise<boolean> {
    const ready = (timeout_ms: number): Promise<true> =>
      this.#tenure.shards.ready(this.#batch.to, timeout_ms).then(() => true as const);
    return (await this.#tenure.ask(this, ready, patience)) === true;
  }

  /** Drains until little is left, or it does not get less: then a frozen slot, which changes no more, has to do. */
  async #catchUp(since: CopyMark | null, patience: Patience, drainsMax: number): Promise<CopyStep> {
    const { drainedAt, notesMax } = this.#tenure.settings;
    let mark = since;
    for (let drains = 1; ; drains++) {
      const copied = await this.#copy(mark, patience);
      if (copied === null || copied.kind === 'give_up') return copied;
      if (copied.left > notesMax)
        return giveUp(`${copied.left} keys changed while they were copied, more than the ${notesMax} that may wait`);
      if (copied.left <= drainedAt || drains >= drainsMax) return copied;
      mark = copied.mark;
    }
  }

  async #copy(since: CopyMark | null, patience: Patience): Promise<CopyStep> {
    const copied = await this.#copyBy(this.#orderOf(since, null), patience);
    if (copied?.kind === 'answered') throw new Error('invariant: an answer to Install, which was not sent');
    return copied;
  }

  /** `copied`: it would have taken too long. */
  #install(mark: CopyMark, install: InstallOrder, patience: Patience): Promise<InstallStep> {
    return this.#copyBy(this.#orderOf(mark, install), patience);
  }

  #orderOf(since: CopyMark | null, install: InstallOrder | null): CopyOrder {
    const { from, to, move, slots } = this.#batch;
    // What clients change has to be kept up with, whatever the rate.
    return { from, to, move, slots, since, maxRate: since === null ? this.#maxRate : null, install };
  }

  /** null: patience has run out. All records of a huge slot take as long as they take: the time for it doubles. */
  async #copyBy(order: CopyOrder, patience: Patience): Promise<InstallStep> {
    const { shards } = this.#tenure;
    let timeout_ms = order.since === null ? this.#bulk_ms : this.#tenure.settings.call_timeout_ms;
    for (let attempt = 1; ; attempt++) {
      const call = (limit_ms: number): Promise<CopyAnswer> => shards.copy(order, limit_ms);
      const copied = await this.#tenure.ask(this, call, soonerOf(patience, this.#in(timeout_ms)), timeout_ms);
      if (copied?.kind === 'copied') return copied;
      if (copied !== null && copied.answer.kind !== 'busy') {
        if (copied.kind === 'answered') return copied;
        return giveUp(`${shardName(order.to)} answered ${copied.answer.kind} to a page`);
      }
      if (patience.enough() || (patience.until_ms !== null && this.#now_ms >= patience.until_ms)) return null;
      if (copied === null) timeout_ms *= 2;
      else await this.#tenure.sleep(this.#tenure.backOff_ms(attempt));
    }
  }

  get #maxRate(): number | null {
    return this.#tenure.planOf(this.#batch.plan)?.maxRate ?? null;
  }

  /** The bulk is not in a hurry, and rests between its pages. */
  get #bulk_ms(): number {
    const { call_timeout_ms, batchBytes } = this.#tenure.settings;
    const paced_ms = this.#maxRate === null ? 0 : (batchBytes * 1000) / this.#maxRate;
    return BULK * call_timeout_ms + paced_ms;
  }

  get #now_ms(): number {
    return this.#tenure.clock.monotonic_ms();
  }

  #in(delay_ms: number): number {
    return this.#now_ms + delay_ms;
  }

  async #whileFrozen(plan: PlanState, round: number, mark: CopyMark): Promise<Round | ToThaw> {
    const { from, to } = this.#batch;
    this.#froze_ms = this.#now_ms;
    const freeze: SlotCommand = { ...this.#command('freeze'), round };
    const inTime = await this.#ask(freeze, from, { ...FOREVER, until_ms: this.#in(plan.max_pause_ms) });
    // It may be carried out yet: only what is known to be frozen can be thawed. And then to go on is the shorter way.
    const frozen = inTime ?? (await this.#ask(freeze, from, FOREVER));
    if (frozen?.kind !== 'frozen') return giveUp(`${shardName(from)} answered ${frozen?.kind} to Freeze`);
    const { receipt } = frozen;
    // What is cancelled before it is installed is rolled back, also from here.
    if (this.#tenure.windingUp(this.#batch.plan)) return PLAN_ENDS;
    // What outages added to it tells nothing of the next step.
    const frozen_ms = this.#pauseNow_ms();
    const step_ms = Math.min(frozen_ms, plan.max_pause_ms, STEP_MS_MAX);
    const left_ms = Math.max(plan.max_pause_ms - frozen_ms, step_ms);
    const { digest, revision, clock_ms } = receipt;
    const command = { ...this.#command('install'), round, digest, revision, clock_ms };
    // To thaw takes two more steps: so long it is better to wait for this one.
    const patience = soonerOf(this.#untilWoundUp, this.#in(left_ms + 2 * step_ms));
    const installed = await this.#install(mark, { command, within_ms: left_ms }, patience);
    // It may be installed yet: the destination's word decides then.
    if (installed === null) return patience.enough() ? PLAN_ENDS : { kind: 'to_thaw', receipt, mark };
    if (installed.kind === 'copied') return { kind: 'to_thaw', receipt, mark: installed.mark };
    if (installed.kind === 'give_up') return installed;
    const { answer } = installed;
    if (answer.kind === 'installed') return this.#publish(receipt, answer);
    if (answer.kind !== 'mismatch') return giveUp(`${shardName(to)} answered ${answer.kind} to Install`);
    const digests = { source: receipt.digest, destination: answer.sums.digest };
    if (++this.#copies >= this.#tenure.settings.copiesMax)
      return giveUp(`digests of ${shardName(from)} and ${shardName(to)} differ after every copy`);
    this.#event('error', 'digests differ after a copy; copying again', digests);
    return { kind: 'to_thaw', receipt, mark: null };
  }

  /** Only after the destination has barred the round may the source serve again: an Install may be on its way yet. */
  async #thaw(round: number, receipt: FreezeReceipt, mark: CopyMark | null): Promise<Round> {
    const { from, to } = this.#batch;
    const barred = await this.#settle({ ...this.#command('bar'), round }, to, null);
    if (barred?.kind === 'installed') return this.#publish(receipt, barred);
    if (barred?.kind !== 'ok') return giveUp(`${shardName(to)} answered ${barred?.kind} to Bar`);
    const thawed = await this.#settle({ ...this.#command('thaw'), round }, from, null);
    if (thawed?.kind !== 'thawed') return giveUp(`${shardName(from)} answered ${thawed?.kind} to Thaw`);
    const pause_ms = this.#pauseNow_ms();
    this.#longestPause_ms = Math.max(this.#longestPause_ms, pause_ms);
    this.#froze_ms = null;
    this.#event('info', 'frozen slots are thawed and served again; another round will follow', { round, pause_ms });
    return { kind: 'thawed', mark };
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

  #pauseNow_ms(): number {
    return this.#froze_ms === null ? 0 : this.#now_ms - this.#froze_ms;
  }

  /** The longest of all rounds; null: not known, or nothing was frozen. */
  #pause_ms(): number | null {
    const longest_ms = Math.max(this.#longestPause_ms, this.#pauseNow_ms());
    return this.#inherited !== null || longest_ms === 0 ? null : longest_ms;
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
    const forward = await this.#publish(await this.#receiptOfFreeze(), installed);
    return forward.kind === 'published' ? 'published' : 'ended';
  }

  /** Of the round that is frozen: those before it are `round_over`. */
  async #receiptOfFreeze(): Promise<FreezeReceipt> {
    for (let round = 1; ; round++) {
      const command: SlotCommand = { ...this.#command('freeze'), round };
      const answer = await this.#settle(command, this.#batch.from, ['frozen', 'round_over']);
      if (answer?.kind === 'frozen') return answer.receipt;
    }
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

  #event(level: 'info' | 'warn' | 'error', text: string, fields: Readonly<Record<string, unknown>>): void {
    const { plan, move, from, to, slots } = this.#batch;
    const where = { plan, move, from: shardName(from), to: shardName(to), slots: formatSlots(slots) };
    this.#tenure.event(level, text, { ...where, ...fields });
  }
}

const PLAN_ENDS = giveUp('the plan ends');

/** No commit that goes well takes longer. */
const STEP_MS_MAX = 500;

/** A copy of all records may take so many times as long as a call. */
const BULK = 5;

const soonerOf = (patience: Patience, until_ms: number): Patience => ({
  until_ms: Math.min(patience.until_ms ?? Number.POSITIVE_INFINITY, until_ms),
  enough: patience.enough,
});
