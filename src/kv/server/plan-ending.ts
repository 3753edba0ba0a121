/**
 * What becomes of each move of a plan that is cancelled, or has failed: what the destination had installed goes forward, all
 * else is rolled back. The controller's log knows which is which.
 */
import {
  type Batch,
  countSlots,
  formatSlots,
  NO_SLOTS,
  type PlanMove,
  type PlanState,
  type SlotRanges,
  shardName,
  subtractSlots,
  unionSlots,
} from '../../shardctrl/index.js';
import type { MoveEndingView, SomeSlotsView } from './api.js';

const some = (slots: SlotRanges): SomeSlotsView => ({ slots: formatSlots(slots), slot_count: countSlots(slots) });

/** Also one that was to be ended when it was too late for that. */
const isEnded = ({ ending, status, reason }: PlanState): boolean =>
  ending !== null || status === 'cancelled' || status === 'failed' || (status === 'done' && reason !== null);

/** null: nobody has ended the plan. `batches`: of this move, in flight. */
export function endingOf(plan: PlanState, move: PlanMove, batches: readonly Batch[]): MoveEndingView | null {
  if (!isEnded(plan)) return null;
  const undoing = batches
    .filter(({ phase }) => phase !== 'published')
    .reduce((slots, batch) => unionSlots(slots, batch.slots), NO_SLOTS);
  const kept = subtractSlots(move.slots, unionSlots(move.moved, undoing));
  const untouched = subtractSlots(kept, move.undone);
  return {
    outcome: undoing.length > 0 ? 'undoing' : move.moved.length > 0 ? 'forward' : 'undone',
    forward: some(move.moved),
    undoing: some(undoing),
    undone: some(move.undone),
    not_begun: some(untouched),
    why: whyOf(move, { undoing, untouched, purging: batches.some(({ phase }) => phase === 'published') }),
  };
}

const plural = (slots: SlotRanges): string => {
  const count = countSlots(slots);
  return `${count} ${count === 1 ? 'slot' : 'slots'}`;
};

interface Parts {
  readonly undoing: SlotRanges;
  readonly untouched: SlotRanges;
  /** The source still has data of slots that it has given away. */
  readonly purging: boolean;
}

function whyOf(move: PlanMove, { undoing, untouched, purging }: Parts): string {
  const [from, to] = [shardName(move.from), shardName(move.to)];
  const parts: string[] = [];
  if (undoing.length > 0) {
    parts.push(`${plural(undoing)} on the way go back to ${from}, unless ${to} turns out to have installed them`);
  }
  if (move.moved.length > 0) {
    const late = move.forward.length > 0 ? `, ${countSlots(move.forward)} of them as the plan was being ended` : '';
    const rest = purging ? `; ${from} is deleting what it has of them` : '';
    parts.push(`${plural(move.moved)} had been installed and stay at ${to}${late}${rest}`);
  }
  if (move.undone.length > 0) parts.push(`${plural(move.undone)} not installed yet were rolled back to ${from}`);
  if (untouched.length > 0) parts.push(`${plural(untouched)} had not begun and stay at ${from}`);
  return parts.join('; ');
}
