/**
 * What is checked: the model as it stands within several bounds, where every run must end well; and the model without one
 * of its guards, where a bad run must be found. A guard that another one backs up does no harm alone: it is listed twice,
 * by itself (quiet) and with the other one gone.
 */

/** Names of the assertions in move.pml, `cycle` for a run that never ends, `quiet` for none of them. */
export type Finding = string;

export interface Variant {
  readonly name: string;
  /** `bfs` finds a shortest bad run; `cycles` looks for runs that go on for ever. */
  readonly search: 'dfs' | 'bfs' | 'cycles';
  readonly defines: Readonly<Record<string, number>>;
  readonly expected: Finding;
  /** Few states: the checker need not be fast, only soon compiled. */
  readonly small: boolean;
  /** Also in the short form that CI runs. */
  readonly quick: boolean;
}

interface Bounds {
  readonly M: number;
  readonly W: number;
  readonly DCR?: number;
  readonly SCR?: number;
  readonly LAG?: number;
  readonly [flag: string]: number | undefined;
}

function defines(bounds: Bounds): Record<string, number> {
  const all: Record<string, number> = {};
  for (const [flag, value] of Object.entries({ DCR: 0, SCR: 0, LAG: 0, ...bounds })) {
    if (value !== undefined) all[flag] = value;
  }
  return all;
}

const holds = (name: string, bounds: Bounds, search: Variant['search'] = 'dfs', quick = false): Variant => ({
  name,
  search,
  defines: defines(bounds),
  expected: 'quiet',
  small: quick,
  quick,
});

const QUICK = true;

const BOUNDS: readonly Variant[] = [
  holds('1 move, 2 writes, crashes', { M: 1, W: 2, DCR: 1, SCR: 1, LAG: 1, SHAPE: 1 }, 'dfs', QUICK),
  holds('2 moves, 2 writes', { M: 2, W: 2, LAG: 1, SHAPE: 1 }, 'dfs', QUICK),
  holds('1 move, 2 writes, a thaw', { M: 1, W: 2, LAG: 1, THAW: 1, SHAPE: 1 }, 'dfs', QUICK),
  holds('1 move, 3 writes, complete copies', { M: 1, W: 3, SCR: 1, LAG: 1, COPIED: 1 }, 'dfs', QUICK),
  holds('2 moves, no run goes on for ever', { M: 2, W: 2 }, 'cycles', QUICK),
  holds('2 moves, 2 writes, crashes', { M: 2, W: 2, DCR: 1, SCR: 1, LAG: 1, SHAPE: 1 }),
  holds('3 moves, 2 writes', { M: 3, W: 2 }),
  holds('2 moves, 3 writes', { M: 2, W: 3, LAG: 1 }),
  holds('1 move, 3 writes, many crashes', { M: 1, W: 3, DCR: 2, SCR: 1, LAG: 2, OLDLAG: 1, SHAPE: 1 }),
  holds('2 moves, very old copies', { M: 2, W: 2, SCR: 1, LAG: 1, OLDLAG: 1 }),
  holds('2 moves, complete copies', { M: 2, W: 2, SCR: 1, LAG: 1, COPIED: 1 }),
  holds('1 move, a thaw, crashes', { M: 1, W: 2, DCR: 1, SCR: 1, LAG: 1, THAW: 1, SHAPE: 1 }),
  holds('2 moves, thaws', { M: 2, W: 2, THAW: 1 }),
  holds('2 moves, crashes, no run goes on for ever', { M: 2, W: 2, SCR: 1, LAG: 1 }, 'cycles'),
  holds('a thaw, crashes, no run goes on for ever', { M: 1, W: 1, DCR: 1, SCR: 1, LAG: 1, THAW: 1 }, 'cycles'),
];

/** Without the check that late messages change nothing: what comes of them is worse, and is what is looked for. */
const SMALL: Bounds = { M: 2, W: 2, LATE: 0 };
const LATE: Bounds = { M: 2, W: 2, LATE: 1 };
const AGAIN: Bounds = { M: 3, W: 1, LATE: 1 };
const CRASH: Bounds = { M: 1, W: 1, DCR: 1 };
const COPY: Bounds = { M: 1, W: 2, LAG: 1, LATE: 0, COPIED: 1 };
const THAW: Bounds = { M: 1, W: 1, LATE: 0, THAW: 1 };
/** The next attempt begins while this one is being undone. Ends are not judged: they are bad already. */
const EARLY: Bounds = { M: 2, W: 2, LATE: 0, ENDS: 0, COPIED: 1, G_NEXT: 0 };

const without = (
  guards: string,
  expected: Finding,
  bounds: Bounds = SMALL,
  search: Variant['search'] = 'bfs',
): Variant => {
  const dropped = Object.fromEntries(guards.split(' + ').map((guard) => [`G_${guard}`, 0]));
  return {
    name: `without ${guards}`,
    search,
    defines: { ...defines(bounds), ...dropped },
    expected,
    small: true,
    quick: true,
  };
};

const DROPPED: readonly Variant[] = [
  without('BE_FLOOR', 'DATA_LOST'),
  without('PG_FLOOR', 'TWO_OWNERS'),
  without('PG_CLEAN', 'STUCK'),
  without('PG_MOVE', 'STUCK'),
  without('PG_REV', 'MISMATCH', COPY),
  without('PG_TOMB', 'MISMATCH', COPY),
  without('NOTE', 'MISMATCH', COPY),
  without('FZ_MOVE', 'LATE_EFFECT', LATE),
  without('FZ_EXP', 'STUCK'),
  without('FZ_ROUND', 'cycle', THAW, 'cycles'),
  without('FZ_APPLY', 'WRONG_DATA'),
  without('IN_MOVE', 'TWO_OWNERS'),
  without('IN_ROUND', 'TWO_OWNERS', THAW),
  without('IN_SUM', 'WRONG_DATA'),
  without('IN_SREV', 'WRONG_DATA'),
  without('BA_MOVE', 'LATE_EFFECT', { ...THAW, M: 2, LATE: 1 }),
  without('BA_INST', 'TWO_OWNERS', THAW),
  without('TH_MOVE', 'TWO_OWNERS', { ...THAW, M: 2 }),
  without('TH_ROUND', 'TWO_OWNERS', THAW),
  without('TH_PROOF', 'TWO_OWNERS', THAW),
  without('AB_REC', 'TWO_OWNERS'),
  without('AB_FLOOR', 'TWO_OWNERS'),
  without('AB_KEEP', 'TWO_OWNERS'),
  without('AB_INST', 'DATA_LOST'),
  without('AB_MOVE', 'LATE_EFFECT', LATE),
  without('UN_MOVE', 'TWO_OWNERS'),
  without('UN_REC', 'LATE_EFFECT', LATE),
  without('UN_FLOOR', 'LATE_EFFECT', LATE),
  without('UN_PROOF', 'TWO_OWNERS'),
  without('DE_MOVE', 'LATE_EFFECT', AGAIN, 'dfs'),
  without('DE_FRZ', 'DATA_LOST'),
  without('DE_PROOF', 'DATA_LOST'),
  without('DE_PUB', 'STUCK', CRASH),
  without('PU_STATE', 'WRONG_DATA'),
  without('PU_MOVE', 'LATE_EFFECT', AGAIN, 'dfs'),
  without('IDEM', 'WRONG_DATA'),
  without('PB_CUR', 'WRONG_MAP', { M: 2, W: 1, DCR: 1, LATE: 0 }, 'dfs'),
  without('PB_PROOF', 'DATA_LOST'),
  without('NEXT', 'STUCK'),
  { ...without('', 'TWO_OWNERS'), name: 'epochs for move ids, not below', defines: { ...defines(SMALL), EPOCH: 1 } },
  { ...without('', 'STUCK'), name: 'epochs for move ids, above', defines: { ...defines(SMALL), EPOCH: 2 } },
];

/** Guards that NEXT, or another one, makes unnecessary; they are what is left should that one fail. */
const BACKED_UP: readonly Variant[] = (
  [
    { ...without('NEXT', 'quiet', EARLY), name: 'without NEXT, safe but for its end' },
    without('BE_OWN', 'quiet'),
    without('NEXT + BE_OWN', 'TWO_OWNERS', EARLY),
    without('PG_NONE', 'quiet'),
    without('NEXT + PG_NONE', 'MISMATCH', EARLY),
    without('AB_NONE', 'quiet'),
    without('NEXT + AB_NONE', 'DATA_LOST', EARLY),
    without('CX_LOG', 'quiet', CRASH),
    without('REFUSED', 'quiet', CRASH),
    without('CX_LOG + REFUSED', 'STUCK', CRASH),
  ] satisfies Variant[]
).map((variant) => ({ ...variant, quick: false }));

export const VARIANTS: readonly Variant[] = [...BOUNDS, ...DROPPED, ...BACKED_UP];
