/**
 * The steps of a move (resharding.md). Every slot of a command is judged first; the command is carried out on all of them
 * or on none.
 */
import type { MoveId, SlotAnswer, SlotCommand, SlotRanges } from '../../shardctrl/index.js';
import { MoveOutcome, SlotState } from '../../shardctrl/index.js';
import {
  judgeAbortImport,
  judgeBar,
  judgeBeginExport,
  judgeDelete,
  judgeFreeze,
  judgeInstall,
  judgeThaw,
  judgeUnfreeze,
  type Verdict,
} from './move-guards.js';
import type { Receipt } from './receipts.js';
import type { SlotControl } from './slot-control.js';
import type { SlotStep } from './slot-table.js';
import type { StoreState } from './store-state.js';

/** `index`: of the entry that is applied. */
export function applySlotCommand(state: StoreState, command: SlotCommand, index: number): SlotAnswer {
  const { move, slots } = command;
  const verdict = judgeAll(slots, (slot) => judge(state.slots.control, slot, command));
  if (verdict !== 'do') return answerOf(state, command, verdict);
  switch (command.kind) {
    case 'begin_export':
      return take(state, command, clearNotes, {
        state: SlotState.Exporting,
        outcome: MoveOutcome.Open,
        move,
        floor: move,
        freezeRound: 0,
        barredRound: 0,
      });
    case 'freeze':
      return freeze(state, command, index);
    case 'install':
      return install(state, command, index);
    case 'bar':
      return take(state, command, nothing, { barredRound: command.round });
    case 'thaw':
      take(state, command, nothing, { state: SlotState.Exporting });
      return { kind: 'thawed' };
    case 'abort_import':
      take(state, command, endImport, {
        state: SlotState.None,
        outcome: MoveOutcome.Aborted,
        move: 0,
        floor: move,
      });
      return { kind: 'aborted' };
    case 'unfreeze':
      return take(state, command, clearNotes, {
        state: SlotState.Own,
        outcome: MoveOutcome.Undone,
        move: 0,
        floor: move,
      });
    case 'delete':
      return give(state, command);
  }
}

function judge(control: SlotControl, slot: number, command: SlotCommand): Verdict {
  const { move } = command;
  switch (command.kind) {
    case 'begin_export':
      return judgeBeginExport(control, slot, move);
    case 'freeze':
      return judgeFreeze(control, slot, move, command.round);
    case 'install':
      return judgeInstall(control, slot, move, command.round);
    case 'bar':
      return judgeBar(control, slot, move, command.round);
    case 'thaw':
      return judgeThaw(control, slot, move, command.round);
    case 'abort_import':
      return judgeAbortImport(control, slot, move);
    case 'unfreeze':
      return judgeUnfreeze(control, slot, move);
    case 'delete':
      return judgeDelete(control, slot, move);
  }
}

/**
 * The common verdict. All slots of a move are in step, because every command of a move names the same slots; where they
 * are not, a refusal goes before an answer that a repetition would get, and nothing is done.
 */
export function judgeAll(slots: SlotRanges, judgeOne: (slot: number) => Verdict): Verdict {
  let common: Verdict | null = null;
  for (const [first, last] of slots) {
    for (let slot = first; slot <= last; slot++) {
      const verdict = judgeOne(slot);
      if (common === null || verdict === common) common = verdict;
      else common = worse(common, verdict);
    }
  }
  return common ?? 'stale';
}

/** Of two different verdicts the one that binds more; slots out of step are never half served. */
function worse(a: Verdict, b: Verdict): Verdict {
  for (const verdict of REFUSALS) if (a === verdict || b === verdict) return verdict;
  return 'stale';
}

const REFUSALS: readonly Verdict[] = ['stale', 'busy', 'round_over'];

/** The answer that goes with a verdict other than `do`. */
export function answerOf(
  state: StoreState,
  command: { readonly move: number },
  verdict: Exclude<Verdict, 'do'>,
): SlotAnswer {
  if (verdict !== 'frozen' && verdict !== 'installed') return { kind: verdict };
  const receipt = state.receipts.get(command.move);
  if (receipt === null) throw new Error(`invariant: no receipt of move ${command.move}`);
  return verdict === 'frozen' ? frozen(receipt) : { kind: 'installed', index: receipt.index, sums: receipt.sums };
}

const frozen = ({ sums, revision, clock_ms, index }: Receipt): SlotAnswer => ({
  kind: 'frozen',
  receipt: { ...sums, revision, clock_ms, index },
});

type Cleanup = (state: StoreState, slot: number) => void;

const nothing: Cleanup = () => {};
const clearNotes: Cleanup = (state, slot) => state.noted.clear(state.rows, slot);
const endImport: Cleanup = (state, slot) => {
  state.tombstones.clear(state.rows, slot);
  state.arrivals.close(slot);
};

function take(
  state: StoreState,
  command: { readonly slots: SlotRanges },
  cleanup: Cleanup,
  step: SlotStep,
): SlotAnswer {
  for (const [first, last] of command.slots) {
    for (let slot = first; slot <= last; slot++) {
      cleanup(state, slot);
      stepSlot(state, slot, step);
    }
  }
  return { kind: 'ok' };
}

export function stepSlot(state: StoreState, slot: number, step: SlotStep): void {
  const over = state.slots.step(slot, step);
  if (over !== 0) state.receipts.drop(state.rows, over);
}

function freeze(state: StoreState, command: Extract<SlotCommand, { kind: 'freeze' }>, index: number): SlotAnswer {
  const { move, round, slots } = command;
  take(state, command, nothing, { state: SlotState.Frozen, freezeRound: round });
  const { revision, clock_ms } = state;
  const receipt: Receipt = { kind: 'freeze', round, index, revision, clock_ms, sums: state.slots.sums(slots) };
  state.receipts.put(state.rows, move, receipt);
  return frozen(receipt);
}

function install(state: StoreState, command: Extract<SlotCommand, { kind: 'install' }>, index: number): SlotAnswer {
  const { move, round, slots, digest } = command;
  const sums = state.slots.sums(slots);
  if (sums.digest !== digest) return { kind: 'mismatch', sums };
  take(state, command, endImport, { state: SlotState.Own, outcome: MoveOutcome.Installed, move: 0 });
  state.revision = Math.max(state.revision, command.revision);
  state.clock_ms = Math.max(state.clock_ms, command.clock_ms);
  state.everOwned = true;
  const { revision, clock_ms } = state;
  state.receipts.put(state.rows, move, { kind: 'install', round, index, revision, clock_ms, sums });
  return { kind: 'installed', index, sums };
}

/** Delete: the slots are given away. What holds no records has nothing to purge. */
function give(state: StoreState, command: Extract<SlotCommand, { kind: 'delete' }>): SlotAnswer {
  take(state, command, clearNotes, { state: SlotState.Purging, outcome: MoveOutcome.Given });
  endPurge(state, command.move, command.slots);
  return { kind: 'ok' };
}

/** Slots that move `move` gave away and that hold nothing any more are at NONE. */
export function endPurge(state: StoreState, move: MoveId, slots: SlotRanges): void {
  const { control } = state.slots;
  for (const [first, last] of slots) {
    for (let slot = first; slot <= last; slot++) {
      const over =
        control.state[slot] === SlotState.Purging && control.move[slot] === move && state.slots.isEmpty(slot);
      if (over) stepSlot(state, slot, { state: SlotState.None, move: 0 });
    }
  }
}

/** The first owner of all slots of a new cluster: only on a shard that has never owned any; a repetition is `ok`. */
export function applyInit(state: StoreState, slots: SlotRanges): SlotAnswer {
  const { control } = state.slots;
  const wanted = state.everOwned ? SlotState.Own : SlotState.None;
  const verdict = judgeAll(slots, (slot) =>
    control.state[slot] === wanted && control.floor[slot] === 0 ? 'do' : 'stale',
  );
  if (verdict !== 'do') return { kind: 'stale' };
  if (!state.everOwned) take(state, { slots }, nothing, { state: SlotState.Own });
  state.everOwned = true;
  return { kind: 'ok' };
}
