/**
 * A test runner for Stryker that loads the tests once and switches mutants on and off within one process, so that a mutant
 * costs what the tests that notice it cost: most of them a millisecond.
 *
 * The price is that a mutant may leave something behind in a module's state. So each kill is confirmed by running the test
 * that failed once more without the mutant: if it fails then, too, the process is not clean, the runner gives up, and Stryker
 * runs the mutant again in a new process. Mutants that act while modules load always get a process of their own.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { register } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { collect, Run, type Test, tests } from './test-tree.js';

/** What instrumented code looks at (Stryker's `INSTRUMENTER_CONSTANTS`). */
interface Instrumentation {
  activeMutant?: string | undefined;
  currentTestId?: string | undefined;
  hitCount?: number | undefined;
  hitLimit?: number | undefined;
  mutantCoverage?: { readonly perTest: Record<string, Record<string, number>> };
}

const scope = globalThis as { __stryker__?: Instrumentation; activeMutant?: string };
scope.__stryker__ ??= {};
const instrumentation = scope.__stryker__;

/** Whose id lean instrumentation compares with; '' where no mutant is active. */
scope.activeMutant = '';

interface MutantRunOptions {
  readonly testFilter?: readonly string[];
  readonly activeMutant: { readonly id: string };
  readonly mutantActivation: 'runtime' | 'static';
}

const SUCCESS = 0;
const FAILED = 1;
/** How much more often than in the dry run a test may come by the active mutant: then it runs for ever. */
const HITS_FACTOR = 20;
const HITS_MIN = 10_000;

/** What the dry run has found, in the sandbox: the processes that run mutants are others. */
const DRY_RUN = 'dry-run.json';

interface DryRun {
  readonly durations: Record<string, number>;
  /** By test, then by mutant. */
  readonly hits: Record<string, Record<string, number>>;
}

class InProcessRunner {
  static readonly inject = ['options'] as const;
  private readonly paths: readonly string[];
  private loadedFor: 'dry run' | 'mutants' | null = null;
  private seen: DryRun = { durations: {}, hits: {} };

  constructor(options: { readonly testPaths: readonly string[] }) {
    this.paths = options.testPaths;
  }

  capabilities(): { reloadEnvironment: boolean } {
    return { reloadEnvironment: false };
  }

  async dryRun(): Promise<object> {
    await this.load('dry run');
    const run = new Run();
    const results = [];
    for (const test of tests()) {
      const startedAt = performance.now();
      instrumentation.currentTestId = test.id;
      const failure = await run.failureOf(test);
      instrumentation.currentTestId = undefined;
      const timeSpentMs = performance.now() - startedAt;
      this.seen.durations[test.id] = timeSpentMs;
      const about = { id: test.id, name: test.name, fileName: resolve(test.file), timeSpentMs };
      results.push(
        failure ? { ...about, status: FAILED, failureMessage: failure.message } : { ...about, status: SUCCESS },
      );
    }
    await run.end();
    const { mutantCoverage } = instrumentation;
    this.seen = { ...this.seen, hits: mutantCoverage?.perTest ?? {} };
    writeFileSync(DRY_RUN, JSON.stringify(this.seen));
    return { status: 'complete', tests: results, mutantCoverage };
  }

  async mutantRun(options: MutantRunOptions): Promise<object> {
    const { activeMutant, mutantActivation, testFilter } = options;
    if (this.loadedFor === 'dry run') throw new Error('a process for mutants, please: this one counts visits');
    if (mutantActivation === 'static') activate(activeMutant.id);
    try {
      await this.load('mutants');
    } catch (error) {
      return { status: 'killed', killedBy: tests().map(({ id }) => id), failureMessage: String(error), nrOfTests: 0 };
    }
    const { ran, killed } = await this.firstFailure(testFilter, activeMutant.id);
    instrumentation.hitCount = undefined;
    activate(undefined);
    if (killed === 'endless') return { status: 'timeout', reason: `came by the mutant ${HITS_FACTOR} times as often` };
    if (killed === null) return { status: 'survived', nrOfTests: ran };
    if (mutantActivation === 'runtime') await this.confirmClean(killed.by);
    return { status: 'killed', killedBy: [killed.by.id], failureMessage: killed.failure.message, nrOfTests: ran };
  }

  /** The quickest tests first: most mutants are noticed by many. */
  private async firstFailure(
    filter: readonly string[] | undefined,
    mutant: string,
  ): Promise<{ ran: number; killed: { by: Test; failure: Error } | 'endless' | null }> {
    const { durations, hits } = this.seen;
    const wanted = filter && new Set(filter);
    const order = tests()
      .filter(({ id }) => wanted === undefined || wanted.has(id))
      .sort((a, b) => (durations[a.id] ?? 0) - (durations[b.id] ?? 0));
    const run = new Run();
    try {
      for (const [i, test] of order.entries()) {
        const limit = Math.max(HITS_MIN, HITS_FACTOR * (hits[test.id]?.[mutant] ?? 0));
        instrumentation.hitCount = 0;
        instrumentation.hitLimit = limit;
        activate(mutant);
        const failure = await run.failureOf(test);
        if (instrumentation.hitCount > limit) return { ran: i + 1, killed: 'endless' };
        if (failure) return { ran: i + 1, killed: { by: test, failure } };
      }
      return { ran: order.length, killed: null };
    } finally {
      await run.end();
    }
  }

  private async confirmClean(killer: Test): Promise<void> {
    const run = new Run();
    const failure = await run.failureOf(killer);
    await run.end();
    if (failure) throw new Error(`fails without a mutant, too: ${killer.id}: ${failure.message}`);
  }

  private async load(purpose: 'dry run' | 'mutants'): Promise<void> {
    if (this.loadedFor !== null) return;
    this.loadedFor = purpose;
    if (purpose === 'mutants') register('./lean-instrumentation.mjs', import.meta.url);
    // A mutant is killed by the first example found, how small it is does not matter.
    fc.configureGlobal({ endOnFailure: true });
    // A test that was left amid its work by a failure may go on to fail later: no business of the next mutant.
    process.on('unhandledRejection', () => undefined);
    if (existsSync(DRY_RUN)) this.seen = JSON.parse(readFileSync(DRY_RUN, 'utf8'));
    for (const path of this.paths.flatMap(testFiles)) {
      await collect(path, () => import(pathToFileURL(resolve(path)).href));
    }
  }
}

function activate(mutant: string | undefined): void {
  instrumentation.activeMutant = mutant;
  scope.activeMutant = mutant ?? '';
}

/** A path is that of a test file, or of a folder whose own test files are meant. */
function testFiles(path: string): readonly string[] {
  if (path.endsWith('.ts')) return [path];
  return readdirSync(path)
    .filter((name) => name.endsWith('.test.ts'))
    .sort()
    .map((name) => join(path, name));
}

export const strykerPlugins = [{ kind: 'TestRunner', name: 'in-process', injectableClass: InProcessRunner }];
export const strykerValidationSchema = {
  type: 'object',
  properties: { testPaths: { type: 'array', items: { type: 'string' } } },
};
