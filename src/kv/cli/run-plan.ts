/** What `reshard` and `move` share: show the plan first, then start it, then perhaps watch it. */
import type { BasicClient, PlanView } from '../client/index.js';
import { CliError } from './cli-error.js';
import type { OutputFormat } from './flags.js';
import { colorsFor, print, warn, write } from './output.js';
import { isOver, planHeadline, renderPlan, renderStatus } from './plan-report.js';
import { watchPlan } from './plan-watch.js';

export interface PlanRun {
  readonly output: OutputFormat;
  readonly dryRun: boolean;
  readonly watch: boolean;
  readonly ask: (dryRun: boolean) => Promise<PlanView>;
}

/** Of one document each: with json and yaml only the plan as it is in the end is printed. */
export async function runPlan(client: BasicClient, { output, dryRun, watch, ask }: PlanRun): Promise<void> {
  const colors = colorsFor(process.stdout);
  const draft = await ask(true);
  for (const warning of draft.warnings ?? []) warn(warning);
  if (dryRun) return print(output, draft, (tints) => renderPlan(tints, draft));
  if (output === 'table') await write(`${await renderPlan(colors, draft)}\n`);

  const started = await ask(false);
  if (output === 'table' && !sameMoves(draft, started)) {
    warn('the cluster has changed meanwhile: this is the plan that was started');
    await write(`${await renderPlan(colors, started)}\n`);
  }
  if (!watch) {
    await print(output, started, (tints) =>
      isOver(started)
        ? planHeadline(tints, started)
        : `${planHeadline(tints, started)}; 'quorate reshard status' shows how far it is`,
    );
    return failUnlessWell(started);
  }
  const ended = await watchPlan(client, started);
  await print(output, ended, (tints) => renderStatus(tints, ended));
  failUnlessWell(ended);
}

/** What slots hold may change between the two answers, and with it a plan that goes by that. */
const sameMoves = (a: PlanView, b: PlanView): boolean => {
  const text = ({ moves }: PlanView): string => moves.map(({ from, to, slots }) => `${from} ${to} ${slots}`).join('\n');
  return text(a) === text(b);
};

function failUnlessWell(plan: PlanView): void {
  if (plan.state !== 'failed' && plan.state !== 'cancelled') return;
  const reason = plan.reason === undefined ? '' : `: ${plan.reason}`;
  throw new CliError(`plan ${plan.id} ${plan.state}${reason}; 'quorate status' shows what is wrong`);
}
