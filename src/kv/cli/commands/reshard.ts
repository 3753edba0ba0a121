import type { Argv } from 'yargs';
import type { PlanAction } from '../../client/index.js';
import { CLUSTER_REPLICAS_MAX, CLUSTER_SHARDS_MAX } from '../../server/api.js';
import { CliError, UsageError } from '../cli-error.js';
import { type Globals, nameLists, numbersByName, PLAN_LIMIT_OPTIONS, planLimits, wholeNumber } from '../flags.js';
import { print } from '../output.js';
import { planHeadline, renderReceipts, renderStatus } from '../plan-report.js';
import { runPlan } from '../run-plan.js';
import { withClient } from '../with-client.js';
import { reshardCancelCommand } from './reshard-cancel.js';

const SHARE_BY = ['slots', 'bytes', 'keys'] as const;

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

const control = (action: Exclude<PlanAction, 'cancel'>, describe: string) => (yargs: Argv<Globals>) =>
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

interface PartFlags {
  readonly by: (typeof SHARE_BY)[number] | undefined;
  readonly weight: string | undefined;
  readonly excludeShard: string | undefined;
  readonly excludeNode: string | undefined;
}

/** Who gets which part, as far as it was said. */
function partsOf({ by, weight, excludeShard, excludeNode }: PartFlags) {
  const lists = nameLists({ 'exclude-shard': excludeShard, 'exclude-node': excludeNode });
  const { 'exclude-shard': excludeShards, 'exclude-node': excludeNodes } = lists;
  return {
    ...(by === undefined ? {} : { by }),
    ...(weight === undefined ? {} : { weights: numbersByName('--weight', weight) }),
    ...(excludeShards === undefined ? {} : { excludeShards }),
    ...(excludeNodes === undefined ? {} : { excludeNodes }),
  };
}

export const reshardCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'reshard',
    'change the number of shards (or of replicas) while clients go on',
    (command) => {
      const whole = command
        .option('shards', { type: 'string', requiresArg: true, describe: 'how many shards there are to be' })
        .option('replicas', { type: 'string', requiresArg: true, describe: 'replicas of each new shard' })
        .option('by', { choices: SHARE_BY, requiresArg: true, describe: 'what is evened out; default: slots' })
        .option('weight', { type: 'string', requiresArg: true, describe: 'a shard with its weight, like s1=2: kept' })
        .option('exclude-shard', { type: 'string', requiresArg: true, describe: 'one that neither gives nor takes' })
        .option('exclude-node', {
          type: 'string',
          requiresArg: true,
          describe: 'one that gets no replica of a new shard',
        })
        .option('dry-run', { type: 'boolean', default: false, describe: 'only show the plan' })
        .options(PLAN_LIMIT_OPTIONS)
        .option('watch', { type: 'boolean', default: false, describe: 'follow it to its end' })
        .example('$0 reshard --shards 4 --watch', 'grow to four shards and look on')
        .example('$0 reshard --shards 2 --by bytes --dry-run', 'how would shares of bytes even out?');
      for (const add of [
        status,
        receipts,
        control('pause', 'begin no further move'),
        control('resume', 'go on'),
        reshardCancelCommand,
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
      const shards = wholeNumber('--shards', args.shards, 1, CLUSTER_SHARDS_MAX);
      const replicas =
        args.replicas === undefined ? undefined : wholeNumber('--replicas', args.replicas, 2, CLUSTER_REPLICAS_MAX);
      const limits = planLimits(args);
      const parts = partsOf(args);
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
              ...parts,
            }),
        }),
      );
    },
  );
