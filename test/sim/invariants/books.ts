/**
 * The controller's books are true: what its log says of plans and batches, against what shards have done. Stands in front of
 * `ControllerStateMachine.apply` while a simulation runs, and is told of every command of a move that a shard applies.
 *
 *   a plan begins  not what was only to be shown, nor by itself where that is not allowed; its weights and places are those asked for
 *   start_batch    not while the plan is paused or ends
 *   publish        what its receipt says is what the source was frozen with and the destination has installed (invariant 8)
 *   batch_aborted  the destination has recorded the abort, and the source serves again; it counts as a failure of its move, so that the
 *                  plan gives up some day, unless nothing but its driver was lost
 *   batch_done     nothing of the move is left at the source; the receipt's pause is no shorter than that of its slots
 *   members_changed  a majority of those who stay knows of it for good: who has left is needed no more (F18)
 *   shard_retired  the shard owns nothing and has purged everything
 *   plan_finished  sums are those of the receipts, and slots are where its moves have brought them; done: what was asked for has
 *                  come about, as even as it has to be and with no move too many (shares.ts)
 */
import { isWrite, type KvCommand, type KvResult } from '../../../src/kv/store/index.js';
import { type Entry, EntryKind, type GroupId } from '../../../src/raft/index.js';
import {
  addDigests,
  type Batch,
  type BatchReceipt,
  type CheckedCommand,
  type ControllerResult,
  ControllerStateMachine,
  countSlots,
  DRIVER_ENDED,
  decodeControllerCommand,
  eachSlot,
  type FreezeReceipt,
  groupOf,
  type MoveId,
  PlanDriver,
  type PlanState,
  type ShardMap,
  type ShardMember,
  type SlotSums,
  shardName,
} from '../../../src/shardctrl/index.js';
import type { Place } from './guards-table.js';
import { arrivedFault, begunFault, ownersFault, reshardFault } from './shares.js';

export interface BooksOptions {
  readonly now_ms: () => number;
  /** Where a slot stands in a shard. */
  readonly placeOf: (group: GroupId, slot: number) => Place;
  /** No slot of this shard stands anywhere: nothing is left in it. */
  readonly isBlank: (group: GroupId) => boolean;
  /** What is missing until no restart can make the group need those who have left it; null: nothing. */
  readonly unsettled: (group: GroupId) => string | null;
  readonly failed: (what: string) => void;
  /** How much of a time that a node measures may be missing. */
  readonly clocksDiffer: () => boolean;
}

/** One attempt at a batch, as its shards saw it. */
interface Attempt {
  /** By round. */
  readonly frozen: Map<number, FreezeReceipt>;
  installed: { readonly round: number; readonly index: number; readonly sums: SlotSums } | null;
  aborted: boolean;
  undone: boolean;
  /** Since when its slots are frozen; null: they are not. */
  froze_ms: number | null;
  longest_ms: number;
  /** Who drove it when it began. */
  readonly office: number;
}

type PlanCommand = Extract<CheckedCommand, { kind: 'reshard' | 'move' | 'balance' }>;

/** What the plan that runs has been told. */
interface Course {
  readonly id: string;
  paused: boolean;
  ends: boolean;
  readonly asked: PlanCommand;
  /** As it was asked for. */
  readonly before: ShardMap;
}

/** Dry runs ask for this pause, and nobody else does: no plan may ever have it. */
export const SHOWN_ONLY_PAUSE_MS = 59_999;

const LATE_MS = 50;

export class Books {
  readonly #options: BooksOptions;
  readonly #attempts = new Map<MoveId, Attempt>();
  #course: Course | null = null;
  #index = 0;
  #office = 0;

  constructor(options: BooksOptions) {
    this.#options = options;
  }

  /** Listens while `run` runs; one simulation at a time in a process. */
  async during<T>(run: () => Promise<T>): Promise<T> {
    const { apply } = ControllerStateMachine.prototype;
    const { start } = PlanDriver.prototype;
    const self = this;
    PlanDriver.prototype.start = function (this: PlanDriver) {
      self.newDriver();
      return start.call(this);
    };
    ControllerStateMachine.prototype.apply = function (this: ControllerStateMachine, entry: Entry) {
      return self.#entry(this, entry, () => apply.call(this, entry));
    };
    try {
      return await run();
    } finally {
      ControllerStateMachine.prototype.apply = apply;
      PlanDriver.prototype.start = start;
    }
  }

  /** What was measured before is not known any more: also where the same node drives on, after a leadership that it kept. */
  newDriver(): void {
    this.#office++;
  }

  #attempt(move: MoveId): Attempt {
    const known = this.#attempts.get(move);
    if (known !== undefined) return known;
    const fresh: Attempt = {
      frozen: new Map(),
      installed: null,
      aborted: false,
      undone: false,
      froze_ms: null,
      longest_ms: 0,
      office: this.#office,
    };
    this.#attempts.set(move, fresh);
    return fresh;
  }

  // ---------------------------------------------------------------------------------------------------------- the shards

  /** The first time that a shard's entry is applied. What is wrong, or null. */
  applied(command: KvCommand, answer: KvResult): string | null {
    if (isWrite(command) || !('move' in command)) return null;
    const attempt = this.#attempt(command.move);
    if (command.kind === 'freeze' && answer.kind === 'frozen') {
      // Told again, also long after, it froze nothing.
      if (!attempt.frozen.has(command.round)) attempt.froze_ms = this.#options.now_ms();
      attempt.frozen.set(command.round, answer.receipt);
    } else if (command.kind === 'install' && answer.kind === 'installed') {
      attempt.installed ??= { round: command.round, index: answer.index, sums: answer.sums };
      this.#melt(attempt);
    } else if (command.kind === 'abort_import' && answer.kind === 'aborted') attempt.aborted = true;
    else if (command.kind === 'unfreeze' && (answer.kind === 'ok' || answer.kind === 'undone')) attempt.undone = true;
    if (command.kind === 'thaw' || command.kind === 'unfreeze') this.#melt(attempt);
    return null;
  }

  #melt(attempt: Attempt): void {
    if (attempt.froze_ms === null) return;
    attempt.longest_ms = Math.max(attempt.longest_ms, this.#options.now_ms() - attempt.froze_ms);
    attempt.froze_ms = null;
  }

  // ------------------------------------------------------------------------------------------------------ the controller

  #entry(machine: ControllerStateMachine, entry: Entry, apply: () => ControllerResult | null): ControllerResult | null {
    if (entry.index <= this.#index || entry.kind !== EntryKind.Command) return apply();
    const decoded = decodeControllerCommand(entry.data);
    if (!decoded.ok) return apply();
    const { command } = decoded;
    const batch = 'move' in command ? machine.batches().find(({ move }) => move === command.move) : undefined;
    const before: Before = {
      batch,
      failures: batch === undefined ? 0 : failuresOf(machine, batch),
      map: asksForPlan(command) ? machine.map() : null,
      group: command.kind === 'members_changed' ? groupChanged(machine, command.change) : null,
    };
    const result = apply();
    // Not before: where rows are rotten nothing was applied, and others will.
    this.#index = entry.index;
    const wrong = result === null ? null : this.#judge(machine, command, result, before);
    if (wrong !== null) this.#options.failed(`books: ${command.kind} at index ${entry.index}: ${wrong}`);
    return result;
  }

  #judge(
    machine: ControllerStateMachine,
    command: CheckedCommand,
    result: ControllerResult,
    { batch, failures, map, group }: Before,
  ): string | null {
    if (result.kind === 'plan_started') {
      if (map === null || !asksForPlan(command)) return `plan ${result.plan} was begun by nobody`;
      return this.#begin(machine, { id: result.plan, paused: false, ends: false, asked: command, before: map });
    }
    if (result.kind === 'published' && command.kind === 'publish' && batch?.phase !== 'published')
      return this.#published(command.move, command.receipt);
    if (result.kind === 'batch_started') return this.#started();
    if (result.kind !== 'ok') return null;
    switch (command.kind) {
      case 'plan_control':
        return this.#steered(command.action);
      case 'plan_failed':
        if (this.#course !== null) this.#course.ends = true;
        return null;
      case 'batch_aborted':
        return batch === undefined
          ? 'there was no such batch'
          : (this.#aborted(command.move) ?? failuresFault(batch, failures, failuresOf(machine, batch)));
      case 'batch_done':
        return batch === undefined ? 'there was no such batch' : this.#done(machine, batch);
      case 'members_changed':
        return group !== null && haveLeft(machine, group) ? this.#options.unsettled(group.id) : null;
      case 'shard_retired':
        return this.#options.isBlank(command.shard) ? null : `${shardName(command.shard)} has not purged everything`;
      case 'plan_finished':
        return this.#finished(machine, command.plan);
      default:
        return null;
    }
  }

  #begin(machine: ControllerStateMachine, course: Course): string | null {
    if (this.#course !== null) return `plan ${this.#course.id} runs`;
    const plan = machine.plan(course.id);
    if (plan === null) return `plan ${course.id} is not there`;
    const { asked, before } = course;
    if (plan.max_pause_ms === SHOWN_ONLY_PAUSE_MS) return `plan ${plan.id} was only to be shown`;
    if (asked.kind === 'balance' && asked.auto && !machine.settings().balance.auto)
      return `plan ${plan.id} balances by itself, which nobody has allowed`;
    const wrong = asked.kind === 'reshard' ? begunFault({ before, after: machine.map()!, asked }) : null;
    if (wrong !== null) return wrong;
    // There was nothing to do: that must be true.
    if (plan.status === 'done') return endFault(machine.map()!, plan, course);
    this.#course = course;
    return null;
  }

  #started(): string | null {
    if (this.#course === null) return 'no plan runs';
    return this.#course.paused || this.#course.ends ? `plan ${this.#course.id} is paused, or ends` : null;
  }

  #steered(action: 'pause' | 'resume' | 'cancel'): string | null {
    if (this.#course === null) return 'no plan runs';
    if (action === 'cancel') this.#course.ends = true;
    else this.#course.paused = action === 'pause';
    return null;
  }

  #published(move: MoveId, receipt: BatchReceipt): string | null {
    const { installed, frozen } = this.#attempt(move);
    if (installed === null) return `nobody has installed move ${move}`;
    const froze = frozen.get(installed.round);
    if (froze === undefined) return `move ${move} was installed in round ${installed.round}, which was never frozen`;
    const due = [
      froze.keys,
      froze.bytes,
      froze.idempotencyRecords,
      froze.digest,
      froze.revision,
      froze.clock_ms,
      froze.index,
      installed.sums.digest,
      installed.index,
    ];
    const found = [
      receipt.keys,
      receipt.bytes,
      receipt.idempotencyRecords,
      receipt.sourceDigest,
      receipt.revision,
      receipt.freeze_clock_ms,
      receipt.freezeIndex,
      receipt.destinationDigest,
      receipt.installIndex,
    ];
    return JSON.stringify(found) === JSON.stringify(due)
      ? null
      : `the receipt of move ${move} says ${found.join(', ')}; its shards said ${due.join(', ')}`;
  }

  #aborted(move: MoveId): string | null {
    const { aborted, undone } = this.#attempt(move);
    if (!aborted) return `the destination of move ${move} has not recorded the abort`;
    return undone ? null : `the source of move ${move} does not serve again`;
  }

  #done(machine: ControllerStateMachine, { plan, receipt, move, from, slots }: Batch): string | null {
    for (const slot of eachSlot(slots)) {
      const place = this.#options.placeOf(from, slot);
      if (place.move === move) return `${shardName(from)} is not rid of slot ${slot}: ${JSON.stringify(place)}`;
    }
    const { longest_ms, office } = this.#attempt(move);
    // A driver that took over knows of the last pause only what stamps say.
    if (office !== this.#office || this.#options.clocksDiffer()) return null;
    const { pause_ms } = machine.receipts(plan)[receipt - 1] ?? { pause_ms: null };
    return (pause_ms ?? 0) + LATE_MS < longest_ms
      ? `move ${move} tells of a pause of ${pause_ms} ms; its slots were frozen for ${longest_ms} ms`
      : null;
  }

  #finished(machine: ControllerStateMachine, id: string): string | null {
    const course = this.#course;
    this.#course = null;
    const plan = machine.plan(id);
    if (plan === null || course?.id !== id) return `plan ${id} did not run`;
    return sumsFault(machine, plan) ?? endFault(machine.map()!, plan, course);
  }
}

/** As things stood before the entry. */
interface Before {
  /** That the command is about. */
  readonly batch: Batch | undefined;
  /** Of its move. */
  readonly failures: number;
  /** Where a plan is asked for. */
  readonly map: ShardMap | null;
  /** Whose members are said to have changed. */
  readonly group: ChangedGroup | null;
}

interface ChangedGroup {
  readonly id: GroupId;
  readonly members: readonly ShardMember[];
}

const membersOf = (machine: ControllerStateMachine, id: GroupId): readonly ShardMember[] => {
  const map = machine.map();
  return (map === null ? undefined : groupOf(map, id))?.members ?? [];
};

function groupChanged(machine: ControllerStateMachine, change: number): ChangedGroup | null {
  const id = machine.changes().find((one) => one.id === change)?.group;
  return id === undefined ? null : { id, members: membersOf(machine, id) };
}

/** Where nobody has left, nobody is missed. */
function haveLeft(machine: ControllerStateMachine, { id, members }: ChangedGroup): boolean {
  const now = membersOf(machine, id).map(({ replica }) => replica);
  return members.some(({ replica }) => !now.includes(replica));
}

const asksForPlan = (command: CheckedCommand): command is PlanCommand =>
  command.kind === 'reshard' || command.kind === 'move' || command.kind === 'balance';

const failuresOf = (machine: ControllerStateMachine, { plan, planMove }: Batch): number =>
  machine.plan(plan)?.moves.find(({ id }) => id === planMove)?.failures ?? 0;

function failuresFault({ reason }: Batch, before: number, after: number): string | null {
  const due = reason === DRIVER_ENDED ? before : before + 1;
  return after === due ? null : `${due} attempts have failed, last because ${reason}; counted are ${after}`;
}

function endFault(after: ShardMap, { status, moves }: PlanState, { asked, before }: Course): string | null {
  const wrong = ownersFault(before, after, moves);
  if (wrong !== null || status !== 'done') return wrong;
  switch (asked.kind) {
    case 'reshard':
      return reshardFault({ before, after, asked }, moves);
    case 'move':
      return arrivedFault(after, asked.slots, asked.to);
    case 'balance':
      return asked.moves.reduce<string | null>(
        (found, move) => found ?? arrivedFault(after, move.slots, move.to),
        null,
      );
  }
}

/** Each move says what its receipts come to. */
function sumsFault(machine: ControllerStateMachine, plan: PlanState): string | null {
  const receipts = machine.receipts(plan.id);
  for (const move of plan.moves) {
    const own = receipts.filter(({ planMove }) => planMove === move.id);
    const add = (of: (receipt: (typeof own)[number]) => number): number => own.reduce((sum, one) => sum + of(one), 0);
    const due = [
      add((one) => one.keys),
      add((one) => one.bytes),
      own.reduce((sum, one) => addDigests(sum, one.sourceDigest), '0'.repeat(32)),
      add((one) => countSlots(one.slots)),
    ];
    const found = [move.keys, move.bytes, move.digest, countSlots(move.moved)];
    if (JSON.stringify(found) !== JSON.stringify(due))
      return `move ${move.id} says ${found.join(', ')}; its receipts come to ${due.join(', ')}`;
  }
  return null;
}
