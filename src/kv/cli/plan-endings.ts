/** What becomes of the moves of a plan that is cancelled, or has failed, one a line. */
import type { PlanMoveView, PlanView } from '../client/index.js';
import { type Colors, type Column, renderTable } from './output.js';

type Outcome = NonNullable<PlanMoveView['ending']>['outcome'];

const COLUMNS: readonly Column[] = [
  { title: 'MOVE' },
  { title: 'FROM' },
  { title: 'TO' },
  { title: 'OUTCOME' },
  { title: 'FORWARD', right: true },
  { title: 'UNDOING', right: true },
  { title: 'UNDONE', right: true },
  { title: 'NOT BEGUN', right: true },
  { title: 'WHY' },
];

const COLOR: Readonly<Record<Outcome, 'green' | 'yellow' | 'red'>> = {
  forward: 'green',
  undoing: 'yellow',
  undone: 'red',
};

export const hasEndings = (plan: PlanView): boolean => plan.moves.some(({ ending }) => ending !== undefined);

/** In slots. */
export function renderEndings(colors: Colors, plan: PlanView): Promise<string> {
  const rows = plan.moves.flatMap(({ id, from, to, ending }) => {
    if (ending === undefined) return [];
    const { outcome, forward, undoing, undone, not_begun, why } = ending;
    const counts = [forward, undoing, undone, not_begun].map(({ slot_count }) => String(slot_count));
    return [[id, from, to, colors[COLOR[outcome]](outcome), ...counts, why]];
  });
  return renderTable(colors, COLUMNS, rows);
}
