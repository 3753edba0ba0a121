/** `npm run chaos`: see README.md. */
import { randomInt } from 'node:crypto';
import { type ChaosOptions, parseArguments } from './arguments.js';
import { type ChaosPorts, runChaos } from './chaos-run.js';
import { EXIT } from './exit-codes.js';
import { feasible, gainsByIsolation, lookAround } from './feasible.js';
import { HELP, renderList } from './help.js';
import { keepLogs, removeEarlier, writeFiles } from './report/files.js';
import { renderPage } from './report/page.js';
import { verdictOf } from './report/verdict.js';
import { canIsolate, furnish, isInside, runInside } from './site/isolation.js';
import type { LocalSite } from './site/local-site.js';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function refuse(message: string): number {
  process.stderr.write(`chaos: ${message}\n`);
  return EXIT.usage;
}

/** The first Ctrl-C ends the run early and reports; the second leaves at once, but leaves nothing behind. */
function listenForSignals(): { readonly interrupt: AbortSignal; readonly onSite: (site: LocalSite | null) => void } {
  const asked = new AbortController();
  let site: LocalSite | null = null;
  const leave = (): void => {
    if (asked.signal.aborted) {
      site?.abandon();
      process.exit(EXIT.interrupted);
    }
    say('ending early; once more to leave at once');
    asked.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, leave);
  return {
    interrupt: asked.signal,
    onSite: (now) => {
      site = now;
    },
  };
}

async function run(options: ChaosOptions): Promise<number> {
  const isolates = options.endpoints.length === 0 && gainsByIsolation(options);
  if (isolates && !isInside() && canIsolate()) return runInside();
  if (isInside()) furnish();
  const checked = feasible(options, lookAround(isInside()));
  if (!checked.ok) return refuse(checked.message);
  const { plan } = checked;
  for (const skipped of plan.skipped) say(`not done here: ${skipped}`);
  removeEarlier(
    options.out,
    options.workloads.map(({ name }) => name),
  );
  const ports: ChaosPorts = {
    ...listenForSignals(),
    say,
    beforeClose: (site, wrong) => {
      if (wrong) keepLogs(options.out, site.cluster);
    },
  };
  const { record, runs } = await runChaos(options, plan, ports);
  say(renderPage(record, writeFiles(options.out, record, runs)));
  return EXIT[verdictOf(record)];
}

async function main(args: readonly string[]): Promise<number> {
  const parsed = parseArguments(args, () => String(randomInt(1, 1_000_000)));
  switch (parsed.kind) {
    case 'wrong':
      return refuse(parsed.message);
    case 'help':
      say(HELP);
      return EXIT.ok;
    case 'list':
      say(renderList());
      return EXIT.ok;
    case 'run':
      return run(parsed.options);
  }
}

try {
  // Connections kept alive by HTTP agents must not keep the process.
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`chaos: the harness failed: ${(error as Error).stack ?? String(error)}\n`);
  process.exit(EXIT.crash);
}
