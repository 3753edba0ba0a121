import type { Argv } from 'yargs';
import type { PlanAction } from '../../client/index.js';
import { CliError, UsageError } from '../cli-error.js';
import { type Globals, PLAN_LIMIT_OPTIONS, planLimits, wholeNumber } from '../flags.js';
import { print } from '../output.js';
import { planHeadline, renderReceipts, renderStatus } from '../plan-report.js';
import { runPlan } from '../run-plan.js';
import { withClient } from '../with-client.js';

const SHARDS_MAX = 16_384;
const REPLICAS_MAX = 64;

const status = (yargs: Argv<Globals>) =>
  yargs.command(
    'status [id]',
    'the latest plan, or the one named',
    (command) => command.positional('id', { type: 'string', describe: 'id of the plan' }),
    async (args) => {
      const plan = await withClient(args, (client) => client.planStatus(args.id));
      if (plan === null) {
        throw new CliError(args.id === undefined ? 'there has been no reshard yet' : `there is no plan ${args.id}`);
      }
      await print(args.output, plan, (colors) => renderStatus(colors, plan));
    },
  );

const receipts = (yargs: Argv<Globals>) =>
  yargs.command(
    'receipts [id]',
    'what each batch of the latest plan, or of the one named, has proved',
    (command) => command.positional('id', { type: 'string', describe: 'id of the plan' }),
    async (args) => {
      const [id, found] = await withClient(args, async (client) => {
        const plan = args.id ?? (await client.planStatus())?.id;
        if (plan === undefined) throw new CliError('there has been no reshard yet');
        return [plan, await client.planReceipts(plan)] as const;
      });
      await print(args.output, { id, receipts: found }, (colors) => renderReceipts(colors, id, found));
    },
  );

const control = (action: PlanAction, describe: string) => (yargs: Argv<Globals>) =>
  yargs.command(
    `${action} [id]`,
    describe,
    (command) => command.positional('id', { type: 'string', describe: 'id of the plan; default: the latest' }),
    async (args) => {
      const plan = await withClient(args, async (client) => {
        const id = args.id ?? (await client.planStatus())?.id;
        if (id === undefined) throw new CliError('there has been no reshard yet');
        return client.planAction(id, action);
      });
      await print(args.output, plan, (colors) => planHeadline(colors, plan));
    },
  );

export const reshardCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'reshard',
    'change the number of shards (or of replicas) while clients go on',
    (command) => {
      const whole = command
        .option('shards', { type: 'string', requiresArg: true, describe: 'how many shards there are to be' })
        .option('replicas', { type: 'string', requiresArg: true, describe: 'replicas of each new shard' })
        .option('dry-run', { type: 'boolean', default: false, describe: 'only show the plan' })
        .options(PLAN_LIMIT_OPTIONS)
        .option('watch', { type: 'boolean', default: false, describe: 'follow it to its end' })
        .example('$0 reshard --shards 4 --watch', 'grow to four shards and look on');
      for (const add of [
        status,
        receipts,
        control('pause', 'begin no further move'),
        control('resume', 'go on'),
        control('cancel', 'undo what is not finished'),
      ]) {
        add(whole);
      }
      return whole;
    },
    async (args) => {
      if (args.shards === undefined) {
        throw new UsageError(
          '--shards: say how many there are to be, or name status, receipts, pause, resume or cancel',
        );
      }
      const shards = wholeNumber('--shards', args.shards, 1, SHARDS_MAX);
      const replicas =
        args.replicas === undefined ? undefined : wholeNumber('--replicas', args.replicas, 2, REPLICAS_MAX);
      const limits = planLimits(args);
      await withClient(args, (client) =>
        runPlan(client, {
          output: args.output,
          dryRun: args.dryRun,
          watch: args.watch,
          ask: (dryRun) =>
            client.reshard({
              shards,
              dryRun,
              ...(replicas === undefined ? {} : { replicas }),
              ...limits,
            }),
        }),
      );
    },
  );
