import type { Argv } from 'yargs';
import { withHints } from '../cli-error.js';
import type { Globals } from '../flags.js';
import { print } from '../output.js';
import { withClient } from '../with-client.js';

export const shardsTransferLeaderCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'transfer-leader <shard>',
    'give the leadership of a shard to another member',
    (command) =>
      command
        .positional('shard', { type: 'string', demandOption: true, describe: 'like s1' })
        .option('to', { type: 'string', requiresArg: true, demandOption: true, describe: 'the member, like n2' })
        .example('$0 shards transfer-leader s1 --to n2', 'n2 leads s1'),
    async (args) => {
      const { shard, to } = args;
      const hints = { conflict: `'quorate shards members ${shard}' shows what is in progress` };
      const view = await withClient(args, (client) => withHints(hints, () => client.transferLeader(shard, to)));
      await print(args.output, view, (colors) => `${view.id}  leader ${colors.bold(view.leader)}  term ${view.term}`);
    },
  );
