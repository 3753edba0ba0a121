/**
 * Model, code and table are kept in step: the guards of move.pml are read out of the file and compared with the judges of
 * src/kv/store/move-guards.ts, and both with the table that the simulator's traces are checked against, in every shape of a
 * slot. Runs without spin.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import * as guards from '../../src/kv/store/move-guards.js';
import { SlotControl } from '../../src/kv/store/slot-control.js';
import { MoveOutcome, SlotState } from '../../src/shardctrl/index.js';
import { cell, type GuardedKind, type Place } from '../sim/invariants/guards-table.js';
import { MODEL, read, violations } from './spin.js';
import { VARIANTS } from './variants.js';

const model = readFileSync(MODEL, 'utf8');
const code = readFileSync(join(import.meta.dirname, '../../src/kv/store/move-guards.ts'), 'utf8');

// ------------------------------------------------------------------------------------------- the model's guards, callable

type Guard = (shard: number, move: number, round?: number) => boolean;

interface Slot extends Place {
  readonly filled: boolean;
}

const STATES = ['none', 'own', 'exporting', 'frozen', 'purging', 'importing'] as const;
const OUTCOMES = ['open', 'installed', 'aborted', 'undone', 'given'] as const;

const flagsOf = (text: string): string[] => [...text.matchAll(/^#ifndef G_(\w+)/gm)].map(([, name]) => name!);
const codeOf = (name: string): number =>
  Number(new RegExp(`^#define ${name} +(\\d+)\\b`, 'm').exec(model)?.[1] ?? Number.NaN);

/** Macros of the section as functions: their conditions mean the same in Promela and in JavaScript. */
function guardsOf(slot: Slot): Readonly<Record<string, Guard>> {
  const section =
    /---- the guards table: [\s\S]*?\*\/\n([\s\S]*?)\/\* ---- end of the guards table/.exec(model)?.[1] ?? '';
  const macros = [...section.matchAll(/^#define (\w+)\(([^)]*)\) +(.*)$/gm)];
  const functions = macros.map(
    ([, name, parameters, body]) => `function ${name}(${parameters}) { return !!(${body}); }`,
  );
  const helpers = `
    function SAME(x, m) { return x == m; }
    function NEWER(m, x) { return m > x; }
    function clean(s) { return !filled; }
    function serves(s) { return st[s] == OWN || st[s] == EXP; }
    function holds(s) { return serves(s) || st[s] == FRZ; }`;
  const context: Record<string, unknown> = {
    filled: slot.filled,
    st: [STATES.indexOf(slot.state)],
    mv: [slot.move],
    fl: [slot.floor],
    out: [OUTCOMES.indexOf(slot.outcome)],
    fr: [slot.freezeRound],
    lr: [slot.barredRound],
  };
  for (const flag of flagsOf(model)) context[`G_${flag}`] = true;
  for (const name of ['NONE', 'OWN', 'EXP', 'FRZ', 'GONE', 'IMP', 'INST', 'ABRT', 'UNDO', 'GAVE']) {
    context[name] = codeOf(name);
  }
  const names = macros.map(([, name]) => name).join(', ');
  return runInNewContext(`${helpers}\n${functions.join('\n')}\n({ ${names} })`, context) as Record<string, Guard>;
}

// ---------------------------------------------------------------------------------------------------- shapes of a slot

/** What fields can be together: `shaped` in the model, checked there with -DSHAPE=1. */
function* shapes(): Generator<Slot, void, void> {
  const rounds = [0, 1, 2];
  const floors = [0, 1, 2, 3];
  for (const state of STATES) {
    for (const floor of floors) {
      for (const outcome of OUTCOMES) {
        const move = state === 'none' || state === 'own' ? 0 : floor;
        if (!fits(state, outcome, floor)) continue;
        for (const freezeRound of rounds) {
          if (state === 'frozen' && freezeRound === 0) continue;
          for (const barredRound of rounds) {
            for (const filled of [true, false]) {
              yield { state, move, floor, outcome, freezeRound, barredRound, filled };
            }
          }
        }
      }
    }
  }
}

function fits(state: Slot['state'], outcome: Slot['outcome'], floor: number): boolean {
  if (floor === 0) return outcome === 'open' && (state === 'none' || state === 'own');
  switch (state) {
    case 'none':
      return outcome === 'aborted' || outcome === 'given';
    case 'own':
      return outcome === 'installed' || outcome === 'undone';
    case 'purging':
      return outcome === 'given';
    default:
      return outcome === 'open';
  }
}

/** One for all, since it has room for every slot there is. */
const control = new SlotControl();

function controlOf(slot: Slot): SlotControl {
  control.state[0] = STATES.indexOf(slot.state);
  control.outcome[0] = OUTCOMES.indexOf(slot.outcome);
  control.move[0] = slot.move;
  control.floor[0] = slot.floor;
  control.freezeRound[0] = slot.freezeRound;
  control.barredRound[0] = slot.barredRound;
  return control;
}

/** The judge's verdict, `taken` where the step is taken. */
function judged(kind: GuardedKind, slot: Slot, m: number, r: number): string {
  controlOf(slot);
  switch (kind) {
    case 'begin_export':
      return guards.judgeBeginExport(control, 0, m);
    case 'page':
      return guards.judgePage(control, 0, m, !slot.filled);
    case 'freeze':
      return guards.judgeFreeze(control, 0, m, r);
    case 'install':
      return guards.judgeInstall(control, 0, m, r);
    case 'bar':
      return guards.judgeBar(control, 0, m, r);
    case 'thaw':
      return guards.judgeThaw(control, 0, m, r);
    case 'abort_import':
      return guards.judgeAbortImport(control, 0, m);
    case 'unfreeze':
      return guards.judgeUnfreeze(control, 0, m);
    case 'delete':
      return guards.judgeDelete(control, 0, m);
  }
}

/** Of each command: what the model calls its step, and those of its answers on which the model's driver acts. */
const STEPS: Readonly<Record<GuardedKind, readonly (readonly [guard: string, verdicts: readonly string[]])[]>> = {
  begin_export: [
    ['doBegin', ['do']],
    ['saysBegun', ['ok']],
  ],
  page: [],
  freeze: [
    ['doFreeze', ['do']],
    ['saysFrozen', ['frozen']],
    ['saysOver', ['round_over']],
  ],
  install: [
    ['doInstall', ['do']],
    ['saysInstalled', ['installed']],
    ['saysAborted', ['aborted']],
  ],
  bar: [
    ['doBar', ['do']],
    ['saysBarred', ['ok']],
    ['saysInstalled', ['installed']],
  ],
  thaw: [
    ['doThaw', ['do']],
    ['saysThawed', ['thawed']],
  ],
  abort_import: [
    ['doAbort', ['do']],
    ['saysAborted', ['aborted']],
    ['saysInstalled', ['installed']],
  ],
  unfreeze: [
    ['doUnfreeze', ['do']],
    ['saysUndone', ['ok', 'ended']],
  ],
  delete: [
    ['doDelete', ['do']],
    ['saysDeleted', ['ok']],
  ],
};
const KINDS = Object.keys(STEPS) as GuardedKind[];
const MOVES = [1, 2, 3, 4];
const ROUNDS = [1, 2, 3];

function* cases(): Generator<[slot: Slot, model: Readonly<Record<string, Guard>>, m: number, r: number], void, void> {
  for (const slot of shapes()) {
    const called = guardsOf(slot);
    for (const m of MOVES) for (const r of ROUNDS) yield [slot, called, m, r];
  }
}

describe('model and code', () => {
  it('number states and outcomes alike', () => {
    expect(['NONE', 'OWN', 'EXP', 'FRZ', 'GONE', 'IMP'].map(codeOf)).toEqual(Object.values(SlotState));
    expect(['OPEN', 'INST', 'ABRT', 'UNDO', 'GAVE'].map(codeOf)).toEqual(Object.values(MoveOutcome));
  });

  it('have the same guards, each of which is named in the model by the judge that holds it', () => {
    const judges = [...code.matchAll(/^export function (\w+)/gm)].map(([, name]) => name!).sort();
    const named = new Set([...model.matchAll(/^#ifndef G_\w+ +\/\* (judge\w+|mayPurge): /gm)].map(([, name]) => name!));
    expect([...named].sort()).toEqual(judges);
  });

  it('give the same verdict on every command in every shape of a slot', () => {
    const apart: string[] = [];
    let compared = 0;
    for (const [slot, called, m, r] of cases()) {
      const differs = (name: string, inModel: boolean, inCode: boolean): void => {
        compared++;
        if (inModel !== inCode) apart.push(`${name} m=${m} r=${r} ${JSON.stringify(slot)}: ${inModel}, code ${inCode}`);
      };
      for (const kind of KINDS) {
        const verdict = judged(kind, slot, m, r);
        for (const [name, verdicts] of STEPS[kind]) differs(name, called[name]!(0, m, r), verdicts.includes(verdict));
      }
      differs('page', called['doOpen']!(0, m) || called['doJoin']!(0, m), judged('page', slot, m, r) === 'do');
      differs('mayPurge', called['mayPurge']!(0, m), guards.mayPurge(controlOf(slot), 0, m));
      differs('takesWrites', called['takesWrites']!(0, m), controlOf(slot).serves(0));
    }
    expect(apart.slice(0, 5)).toEqual([]);
    expect(compared).toBeGreaterThan(10_000);
  });
});

describe('the table of the simulator and the code', () => {
  it('give the same answer to every command in every shape of a slot', () => {
    const done: Readonly<Record<string, string>> = {
      freeze: 'frozen',
      install: 'installed',
      thaw: 'thawed',
      abort_import: 'aborted',
    };
    const apart: string[] = [];
    for (const slot of shapes()) {
      for (const kind of KINDS) {
        for (const move of MOVES) {
          for (const round of ROUNDS) {
            const { answer, next } = cell(slot, { kind, move, round, purged: !slot.filled });
            const verdict = judged(kind, slot, move, round);
            const inCode = verdict === 'do' ? (done[kind] ?? 'ok') : verdict;
            const taken = next !== null;
            if (answer !== inCode || taken !== (verdict === 'do')) {
              apart.push(`${kind} m=${move} r=${round} ${JSON.stringify(slot)}: ${answer} ${taken}, code ${verdict}`);
            }
          }
        }
      }
    }
    expect(apart.slice(0, 5)).toEqual([]);
  });
});

describe('variants of the model', () => {
  it('drop each of its guards, and expect what the model can find', () => {
    const dropped = VARIANTS.flatMap(({ defines, expected }) =>
      Object.keys(defines)
        .filter((flag) => flag.startsWith('G_') && expected !== 'quiet')
        .map((flag) => flag.slice(2)),
    );
    expect([...new Set(dropped)].sort()).toEqual(flagsOf(model).sort());
    const names = new Set(['quiet', 'cycle', ...violations(model).values()]);
    expect(VARIANTS.filter(({ expected }) => !names.has(expected))).toEqual([]);
    expect(new Set(VARIANTS.map(({ name }) => name)).size).toBe(VARIANTS.length);
  });

  it('define only what the model knows', () => {
    const known = new Set([...model.matchAll(/^#ifndef (\w+)/gm)].map(([, name]) => name!));
    expect(VARIANTS.flatMap(({ defines }) => Object.keys(defines)).filter((flag) => !known.has(flag))).toEqual([]);
  });
});

describe("what is read from the checker's output", () => {
  const names = violations(model);
  const tail = (errors: number): string =>
    `State-vector 124 byte, depth reached 67, errors: ${errors}\n    1234 states, stored\n`;

  it.each([
    ['quiet', tail(0)],
    ['TWO_OWNERS', `pan:1: assertion violated ( !((a&&b))||(101==0)) (at depth 20)\n${tail(1)}`],
    ['cycle', `pan:1: non-progress cycle (at depth 18)\n${tail(1)}`],
    ['unfinished', 'Depth= 67 States= 1e+06'],
    ['unfinished', `error: max search depth too small\n${tail(0)}`],
    ['unfinished', `pan: reached -DMEMLIM bound\nWarning: Search not completed\n${tail(0)}`],
  ])('%s', (found, text) => {
    expect(read(text, names).found).toBe(found);
  });
});
