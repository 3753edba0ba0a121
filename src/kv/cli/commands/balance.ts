import type { Argv } from 'yargs';
import type { BalanceSettingsView, BalanceView, BasicClient, PlanView } from '../../client/index.js';
import { CliError, UsageError } from '../cli-error.js';
import { duration, type Globals, PLAN_LIMIT_OPTIONS, type PlanLimits, planLimits, wholeNumber } from '../flags.js';
import { type Colors, type Column, print, renderTable } from '../output.js';
import { runPlan } from '../run-plan.js';
import { byteText, durationText } from '../text.js';
import { withClient } from '../with-client.js';

const COLUMNS: readonly Column[] = [
  { title: 'SHARD' },
  { title: 'REQ/S', right: true },
  { title: 'LOAD', right: true },
  { title: 'BYTES', right: true },
  { title: 'STORED', right: true },
  { title: 'FAIR', right: true },
];

const LIMIT_MAX = 1_000;
const HOLD_S_MAX = 86_400;

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

function settingsText({ auto, limit_percent, hold_s }: BalanceSettingsView): string {
  const when = `a shard is overloaded at ${limit_percent} % above its fair share for ${durationText(hold_s * 1_000)}`;
  return `${when}; ${auto ? 'that is put right by itself' : 'nothing is moved without being asked for (--auto on)'}`;
}

async function render(colors: Colors, view: BalanceView): Promise<string> {
  const rows = view.shards.map((shard) => [
    shard.id,
    shard.requests_per_s.toFixed(0),
    percent(shard.load_share),
    byteText(shard.bytes),
    percent(shard.bytes_share),
    percent(shard.fair_share),
  ]);
  return [
    view.state === 'balanced' ? colors.green(view.detail) : colors.yellow(view.detail),
    settingsText(view),
    ...(rows.length === 0 ? [] : ['', await renderTable(colors, COLUMNS, rows)]),
  ].join('\n');
}

/** A whole number with or without the sign. */
const limitPercent = (text: string): number => wholeNumber('--limit', text.replace(/\s*%$/, ''), 10, LIMIT_MAX);

function seconds(text: string): number {
  const hold_s = Math.round(duration('--hold', text) / 1_000);
  if (hold_s < 1 || hold_s > HOLD_S_MAX) throw new UsageError(`--hold: must be from 1s to 1d, not ${text}`);
  return hold_s;
}

/** What it shows is what is known now; between that and the start the load may have changed. */
async function started(client: BasicClient, limits: PlanLimits): Promise<PlanView> {
  const plan = await client.balance(limits);
  if (plan.state === 'planned')
    throw new CliError('the load has changed meanwhile, and there is nothing to move any more');
  return plan;
}

export const balanceCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'balance',
    'move slots off shards that carry too much load or data',
    (command) =>
      command
        .option('dry-run', { type: 'boolean', default: false, describe: 'only show how things stand, and the plan' })
        .option('auto', {
          choices: ['on', 'off'] as const,
          requiresArg: true,
          describe: 'whether it happens by itself',
        })
        .option('limit', { type: 'string', requiresArg: true, describe: 'above its fair share, like 30%: overloaded' })
        .option('hold', {
          type: 'string',
          requiresArg: true,
          describe: 'it counts once it has lasted so long, like 2m',
        })
        .options(PLAN_LIMIT_OPTIONS)
        .option('watch', { type: 'boolean', default: false, describe: 'follow it to its end' })
        .example('$0 balance --dry-run', 'see what shards carry, and what would move')
        .example('$0 balance --auto on', 'let the cluster do so by itself from now on'),
    async (args) => {
      const { auto, limit, hold, output, dryRun, watch } = args;
      const limits = planLimits(args);
      const settings = {
        ...(auto === undefined ? {} : { auto: auto === 'on' }),
        ...(limit === undefined ? {} : { limitPercent: limitPercent(limit) }),
        ...(hold === undefined ? {} : { hold_s: seconds(hold) }),
      };
      await withClient(args, async (client) => {
        if (Object.keys(settings).length > 0) {
          const set = await client.setBalance(settings);
          return print(output, set, () => settingsText(set));
        }
        const view = await client.balanceStatus();
        if (dryRun && output !== 'table') return print(output, view, () => '');
        if (output === 'table') await print(output, view, (colors) => render(colors, view));
        if (view.plan.moves.length === 0) return output === 'table' ? undefined : print(output, view.plan, () => '');
        const ask = (dry: boolean): Promise<PlanView> => (dry ? Promise.resolve(view.plan) : started(client, limits));
        return runPlan(client, { output, dryRun, watch, ask });
      });
    },
  );
