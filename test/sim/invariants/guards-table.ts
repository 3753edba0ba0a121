/**
 * The guards table of resharding.md as data, written from that page and not from src/kv/store/move-guards.ts: what a shard
 * must answer to a step of move `m` for one slot, and what becomes of the slot. Where the page names no answer, what
 * move-guards.ts says of itself in its head is taken as the rule.
 */
import type { SlotAnswer, SlotCommand } from '../../../src/shardctrl/index.js';

export type PlaceState = 'none' | 'own' | 'exporting' | 'frozen' | 'purging' | 'importing';
export type PlaceOutcome = 'open' | 'installed' | 'aborted' | 'undone' | 'given';

/** Where a slot stands in a shard. */
export interface Place {
  readonly state: PlaceState;
  readonly move: number;
  readonly floor: number;
  readonly outcome: PlaceOutcome;
  readonly freezeRound: number;
  readonly barredRound: number;
}

export const NOWHERE: Place = {
  state: 'none',
  move: 0,
  floor: 0,
  outcome: 'open',
  freezeRound: 0,
  barredRound: 0,
};

export type GuardedKind = SlotCommand['kind'] | 'page';

export interface Step {
  readonly kind: GuardedKind;
  readonly move: number;
  /** 0 for steps without one. */
  readonly round: number;
  /** Nothing of the slot is left here from earlier. */
  readonly purged: boolean;
}

export interface Cell {
  readonly answer: SlotAnswer['kind'];
  /** null: refused, or done already; nothing changes. */
  readonly next: Place | null;
}

interface Row {
  readonly accepted: (place: Place, step: Step) => boolean;
  readonly answer: SlotAnswer['kind'];
  readonly effect: (place: Place, step: Step) => Partial<Place>;
  /** The first that holds. */
  readonly otherwise: readonly (readonly [SlotAnswer['kind'], (place: Place, step: Step) => boolean])[];
}

type Test = (place: Place, step: Step) => boolean;

const always: Test = () => true;
const isNew: Test = (place, { move }) => move > place.floor;
const isOver: Test = (place, { move }) => move < place.floor;
const isSeen: Test = (place, { move }) => move <= place.floor;
const at =
  (...states: PlaceState[]): Test =>
  ({ state }) =>
    states.includes(state);
const inMove =
  (...states: PlaceState[]): Test =>
  (place, { move }) =>
    states.includes(place.state) && place.move === move;
const endedAs =
  (outcome: PlaceOutcome): Test =>
  (place, { move }) =>
    place.floor === move && place.outcome === outcome;
const both =
  (a: Test, b: Test): Test =>
  (place, step) =>
    a(place, step) && b(place, step);
const either =
  (a: Test, b: Test): Test =>
  (place, step) =>
    a(place, step) || b(place, step);

const laterThanLast: Test = (place, { round }) => round > place.freezeRound;
const isLast: Test = (place, { round }) => round === place.freezeRound;
const beforeLast: Test = (place, { round }) => round < place.freezeRound;
const notBarred: Test = (place, { round }) => round > place.barredRound;

const enters =
  (state: PlaceState) =>
  (_: Place, step: Step): Partial<Place> => ({
    state,
    move: step.move,
    floor: step.move,
    outcome: 'open',
    freezeRound: 0,
    barredRound: 0,
  });
const ends =
  (state: PlaceState, outcome: PlaceOutcome) =>
  (_: Place, step: Step): Partial<Place> => ({
    state,
    outcome,
    move: 0,
    floor: step.move,
  });

const TABLE: Readonly<Record<GuardedKind, Row>> = {
  begin_export: {
    accepted: both(at('own'), isNew),
    answer: 'ok',
    effect: enters('exporting'),
    otherwise: [
      ['ok', inMove('exporting', 'frozen')],
      ['undone', endedAs('undone')],
      ['stale', isSeen],
      ['busy', always],
    ],
  },
  page: {
    accepted: either((place, step) => place.state === 'none' && step.purged && isNew(place, step), inMove('importing')),
    answer: 'ok',
    effect: (place, step) => (place.state === 'none' ? enters('importing')(place, step) : {}),
    otherwise: [
      ['aborted', endedAs('aborted')],
      ['ok', endedAs('installed')],
      ['stale', isSeen],
      ['busy', always],
    ],
  },
  freeze: {
    accepted: both(inMove('exporting'), laterThanLast),
    answer: 'frozen',
    effect: (_, { round }) => ({ state: 'frozen', freezeRound: round }),
    otherwise: [
      ['frozen', both(inMove('frozen'), isLast)],
      ['round_over', both(inMove('frozen'), beforeLast)],
      ['round_over', inMove('exporting')],
      ['stale', always],
    ],
  },
  /** If the digests are equal; else `mismatch`, and nothing changes. */
  install: {
    accepted: both(inMove('importing'), notBarred),
    answer: 'installed',
    effect: ends('own', 'installed'),
    otherwise: [
      ['installed', endedAs('installed')],
      ['aborted', endedAs('aborted')],
      ['round_over', inMove('importing')],
      ['stale', always],
    ],
  },
  bar: {
    accepted: both(inMove('importing'), notBarred),
    answer: 'ok',
    effect: (_, { round }) => ({ barredRound: round }),
    otherwise: [
      ['ok', inMove('importing')],
      ['installed', endedAs('installed')],
      ['aborted', endedAs('aborted')],
      ['stale', always],
    ],
  },
  thaw: {
    accepted: both(inMove('frozen'), isLast),
    answer: 'thawed',
    effect: () => ({ state: 'exporting' }),
    otherwise: [
      ['thawed', both(inMove('frozen'), beforeLast)],
      [
        'thawed',
        (place, step) => inMove('exporting')(place, step) && step.round > 0 && step.round <= place.freezeRound,
      ],
      ['stale', always],
    ],
  },
  abort_import: {
    accepted: either(inMove('importing'), both(at('none'), isNew)),
    answer: 'aborted',
    effect: ends('none', 'aborted'),
    otherwise: [
      ['aborted', endedAs('aborted')],
      ['installed', endedAs('installed')],
      ['ended', isOver],
      ['stale', isSeen],
      ['busy', always],
    ],
  },
  unfreeze: {
    accepted: either(inMove('exporting', 'frozen'), both(at('own'), isNew)),
    answer: 'ok',
    effect: ends('own', 'undone'),
    otherwise: [
      ['ok', endedAs('undone')],
      ['ended', isOver],
      ['stale', isSeen],
      ['busy', always],
    ],
  },
  delete: {
    accepted: inMove('frozen'),
    answer: 'ok',
    effect: () => ({ state: 'purging', outcome: 'given' }),
    otherwise: [
      ['ok', endedAs('given')],
      ['ok', isOver],
      ['stale', always],
    ],
  },
};

export function cell(place: Place, step: Step): Cell {
  const row = TABLE[step.kind];
  if (row.accepted(place, step)) return { answer: row.answer, next: { ...place, ...row.effect(place, step) } };
  for (const [answer, holds] of row.otherwise) if (holds(place, step)) return { answer, next: null };
  throw new Error(`the row of ${step.kind} has no end`);
}

export const servesWrites = (place: Place): boolean => place.state === 'own' || place.state === 'exporting';
