import type { Argv } from 'yargs';
import { type Globals, PLAN_LIMIT_OPTIONS, planLimits } from '../flags.js';
import { runPlan } from '../run-plan.js';
import { withClient } from '../with-client.js';

export const moveCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'move',
    'move slots to another shard',
    (command) =>
      command
        .option('slots', { type: 'string', requiresArg: true, demandOption: true, describe: 'like 0-99,200' })
        .option('to', { type: 'string', requiresArg: true, demandOption: true, describe: 'the shard, like s2' })
        .option('dry-run', { type: 'boolean', default: false, describe: 'only show the plan' })
        .options(PLAN_LIMIT_OPTIONS)
        .option('watch', { type: 'boolean', default: false, describe: 'follow it to its end' }),
    async (args) => {
      const { slots, to, output, dryRun, watch } = args;
      const limits = planLimits(args);
      await withClient(args, (client) =>
        runPlan(client, { output, dryRun, watch, ask: (dry) => client.move({ slots, to, dryRun: dry, ...limits }) }),
      );
    },
  );
