/**
 * The guards table of resharding.md, for one slot: may this step of move `m` be taken here and now? Pure; found by model
 * checking (model/move.pml), where dropping any one of them gives a bad run.
 *
 * Besides the table's own cells:
 * - `m` below the floor: that move is over. `stale`, but `ended` or `ok` where the table says so; an AbortImport is `ended`.
 * - a page of a move that is installed here: `ok`, and nothing changes. Install compared digests, so the page is in.
 * - an Install of a barred round, and a Freeze or a Thaw of a round that is not the latest: `round_over` or `stale`, final.
 */
import { MoveOutcome, SlotState } from '../../shardctrl/index.js';
import type { SlotControl } from './slot-control.js';

/** `do`: the step is taken. Else the answer, and nothing changes. */
export type Verdict =
  | 'do'
  | 'ok'
  | 'frozen'
  | 'installed'
  | 'aborted'
  | 'undone'
  | 'thawed'
  | 'ended'
  | 'stale'
  | 'round_over'
  | 'busy';

const { None, Own, Exporting, Frozen, Purging, Importing } = SlotState;

const inMove = (c: SlotControl, slot: number, m: number): boolean => c.move[slot] === m;
const ended = (c: SlotControl, slot: number, m: number, outcome: MoveOutcome): boolean =>
  c.floor[slot] === m && c.outcome[slot] === outcome;

export function judgeBeginExport(c: SlotControl, slot: number, m: number): Verdict {
  const state = c.state[slot];
  if ((state === Exporting || state === Frozen) && inMove(c, slot, m)) return 'ok';
  if (ended(c, slot, m, MoveOutcome.Undone)) return 'undone';
  if (m <= c.floor[slot]!) return 'stale';
  return state === Own ? 'do' : 'busy';
}

/** `purged`: nothing of the slot is left from earlier. */
export function judgePage(c: SlotControl, slot: number, m: number, purged: boolean): Verdict {
  const state = c.state[slot];
  if (state === Importing && inMove(c, slot, m)) return 'do';
  if (ended(c, slot, m, MoveOutcome.Aborted)) return 'aborted';
  if (ended(c, slot, m, MoveOutcome.Installed)) return 'ok';
  if (m <= c.floor[slot]!) return 'stale';
  return state === None && purged ? 'do' : 'busy';
}

export function judgeFreeze(c: SlotControl, slot: number, m: number, round: number): Verdict {
  const state = c.state[slot];
  if (!inMove(c, slot, m)) return 'stale';
  const last = c.freezeRound[slot]!;
  if (state === Exporting) return round > last ? 'do' : 'round_over';
  if (state !== Frozen) return 'stale';
  if (round === last) return 'frozen';
  return round < last ? 'round_over' : 'stale';
}

/** `do`: if the digests are equal too. */
export function judgeInstall(c: SlotControl, slot: number, m: number, round: number): Verdict {
  if (ended(c, slot, m, MoveOutcome.Installed)) return 'installed';
  if (ended(c, slot, m, MoveOutcome.Aborted)) return 'aborted';
  if (c.state[slot] !== Importing || !inMove(c, slot, m)) return 'stale';
  return round > c.barredRound[slot]! ? 'do' : 'round_over';
}

export function judgeBar(c: SlotControl, slot: number, m: number, round: number): Verdict {
  if (ended(c, slot, m, MoveOutcome.Installed)) return 'installed';
  if (ended(c, slot, m, MoveOutcome.Aborted)) return 'aborted';
  if (c.state[slot] !== Importing || !inMove(c, slot, m)) return 'stale';
  return round > c.barredRound[slot]! ? 'do' : 'ok';
}

export function judgeThaw(c: SlotControl, slot: number, m: number, round: number): Verdict {
  const state = c.state[slot];
  if (!inMove(c, slot, m)) return 'stale';
  const last = c.freezeRound[slot]!;
  if (state === Frozen) {
    if (round === last) return 'do';
    return round < last ? 'thawed' : 'stale';
  }
  return state === Exporting && round <= last && round > 0 ? 'thawed' : 'stale';
}

export function judgeAbortImport(c: SlotControl, slot: number, m: number): Verdict {
  const state = c.state[slot];
  if (ended(c, slot, m, MoveOutcome.Aborted)) return 'aborted';
  if (ended(c, slot, m, MoveOutcome.Installed)) return 'installed';
  if (state === Importing && inMove(c, slot, m)) return 'do';
  if (m < c.floor[slot]!) return 'ended';
  if (m === c.floor[slot]!) return 'stale';
  return state === None ? 'do' : 'busy';
}

export function judgeUnfreeze(c: SlotControl, slot: number, m: number): Verdict {
  const state = c.state[slot];
  if ((state === Exporting || state === Frozen) && inMove(c, slot, m)) return 'do';
  if (ended(c, slot, m, MoveOutcome.Undone)) return 'ok';
  if (m < c.floor[slot]!) return 'ended';
  if (m === c.floor[slot]!) return 'stale';
  return state === Own ? 'do' : 'busy';
}

export function judgeDelete(c: SlotControl, slot: number, m: number): Verdict {
  if (c.state[slot] === Frozen && inMove(c, slot, m)) return 'do';
  if (ended(c, slot, m, MoveOutcome.Given) || m < c.floor[slot]!) return 'ok';
  return 'stale';
}

/** Whether rows of the slot may go in a purge batch of move `m`. */
export function mayPurge(c: SlotControl, slot: number, m: number): boolean {
  const state = c.state[slot];
  return state === None || (state === Purging && inMove(c, slot, m));
}
