import type { Argv } from 'yargs';
import type { Globals } from '../flags.js';
import { renderNodes } from '../node-table.js';
import { print } from '../output.js';
import { withClient } from '../with-client.js';
import { refuseNotImplemented } from './not-implemented.js';

export const nodesCommand = (yargs: Argv<Globals>) =>
  yargs.command('nodes', 'the nodes of the cluster', (command) =>
    command
      .command(
        'list',
        'who they are and how',
        (sub) => sub,
        async (args) => {
          const { nodes } = await withClient(args, (client) => client.cluster());
          await print(args.output, { nodes }, (colors) => renderNodes(colors, nodes));
        },
      )
      .command(
        'add',
        'join a node (not implemented yet)',
        (sub) => sub.strict(false),
        () => refuseNotImplemented('nodes add'),
      )
      .command(
        'drain',
        'move everything off a node (not implemented yet)',
        (sub) => sub.strict(false),
        () => refuseNotImplemented('nodes drain'),
      )
      .demandCommand(1, 'name what to do: list, add or drain'),
  );
