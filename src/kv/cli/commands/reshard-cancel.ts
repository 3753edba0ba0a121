import type { Argv } from 'yargs';
import { CliError } from '../cli-error.js';
import type { Globals } from '../flags.js';
import { colorsFor, print, write } from '../output.js';
import { renderEnding } from '../plan-report.js';
import { watchPlan } from '../plan-watch.js';
import { withClient } from '../with-client.js';

export const reshardCancelCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'cancel [id]',
    'roll back what is not installed, finish what is, and say which',
    (command) =>
      command
        .positional('id', { type: 'string', describe: 'id of the plan; default: the latest' })
        .option('watch', { type: 'boolean', default: false, describe: 'follow it to its end' }),
    async (args) => {
      const plan = await withClient(args, async (client) => {
        const id = args.id ?? (await client.planStatus())?.id;
        if (id === undefined) throw new CliError('there has been no reshard yet');
        const cancelled = await client.planAction(id, 'cancel');
        if (!args.watch) return cancelled;
        if (args.output === 'table') await write(`${await renderEnding(colorsFor(process.stdout), cancelled)}\n`);
        return watchPlan(client, cancelled);
      });
      await print(args.output, plan, (colors) => renderEnding(colors, plan));
    },
  );
