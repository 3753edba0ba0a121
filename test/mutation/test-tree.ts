/**
 * `describe`, `it` and the hooks as far as the tests that mutants are run against use them. Files are loaded once; any of
 * their tests can then be run again and again in the same process. Vitest loads everything anew for each run, which takes
 * half a second: too long for some thousand mutants.
 */
import { format } from 'node:util';

type Body = (...args: readonly unknown[]) => unknown;
type Hook = 'beforeAll' | 'beforeEach' | 'afterEach' | 'afterAll';

interface Suite {
  readonly name: string;
  readonly parent: Suite | null;
  readonly hooks: Readonly<Record<Hook, Body[]>>;
}

export interface Test {
  readonly id: string;
  readonly name: string;
  readonly file: string;
  readonly suite: Suite;
  readonly body: () => unknown;
}

const suiteOf = (name: string, parent: Suite | null): Suite => ({
  name,
  parent,
  hooks: { beforeAll: [], beforeEach: [], afterEach: [], afterAll: [] },
});

const collected = new Map<string, Test>();
let file = '';
let current = suiteOf('', null);

/** From the outermost. */
function suitesAround(suite: Suite): readonly Suite[] {
  return suite.parent === null ? [suite] : [...suitesAround(suite.parent), suite];
}

/** What the tests of a file are collected into while it is imported. */
export async function collect(path: string, load: () => Promise<unknown>): Promise<void> {
  file = path;
  current = suiteOf('', null);
  await load();
}

export const tests = (): readonly Test[] => [...collected.values()];

function addSuite(name: string, body: Body, args: readonly unknown[] = []): void {
  const parent = current;
  current = suiteOf(name, parent);
  body(...args);
  current = parent;
}

function addTest(name: string, body: Body, args: readonly unknown[] = []): void {
  const title = [...suitesAround(current).map((suite) => suite.name), name].join(' ').trim();
  const id = `${file}#${title}`;
  if (collected.has(id)) throw new Error(`two tests are called ${id}`);
  collected.set(id, { id, name: title, file, suite: current, body: () => body(...args) });
}

type Add = (name: string, body: Body, args?: readonly unknown[]) => void;

/** Options may stand before the body, a time limit after it: here neither counts, Stryker has a limit of its own. */
const bodyIn = (rest: readonly unknown[]): Body => rest.find((each): each is Body => typeof each === 'function')!;

const withEach = (add: Add) =>
  Object.assign((name: string, ...rest: readonly unknown[]) => add(name, bodyIn(rest)), {
    each:
      (rows: readonly unknown[]) =>
      (name: string, ...rest: readonly unknown[]) => {
        for (const row of rows) {
          const args = Array.isArray(row) ? row : [row];
          add(format(name, ...args.slice(0, name.split(/%[sdifjoO]/).length - 1)), bodyIn(rest), args);
        }
      },
  });

export const describe = withEach(addSuite);
export const it = withEach(addTest);

const hook = (kind: Hook) => (body: Body) => {
  current.hooks[kind].push(body);
};
export const beforeAll = hook('beforeAll');
export const beforeEach = hook('beforeEach');
export const afterEach = hook('afterEach');
export const afterAll = hook('afterAll');

/** Tests that run one after the other; what suites have prepared for all of theirs is cleared away by `end`. */
export class Run {
  private readonly entered = new Set<Suite>();

  /** The error that the test failed with, or null. */
  async failureOf(test: Test): Promise<Error | null> {
    const around = suitesAround(test.suite);
    const failures: unknown[] = [];
    const attempt = async (body: Body): Promise<void> => {
      try {
        await body();
      } catch (error) {
        failures.push(error);
      }
    };
    for (const suite of around) {
      if (this.entered.has(suite)) continue;
      this.entered.add(suite);
      for (const body of suite.hooks.beforeAll) await attempt(body);
    }
    for (const suite of around) for (const body of suite.hooks.beforeEach) await attempt(body);
    if (failures.length === 0) await attempt(test.body);
    for (const suite of around.toReversed()) for (const body of suite.hooks.afterEach) await attempt(body);
    if (failures.length === 0) return null;
    return failures[0] instanceof Error ? failures[0] : new Error(String(failures[0]));
  }

  async end(): Promise<void> {
    for (const suite of [...this.entered].toReversed()) {
      for (const body of suite.hooks.afterAll) await Promise.resolve(body()).catch(() => undefined);
    }
    this.entered.clear();
  }
}
