import type { Argv } from 'yargs';
import type { Globals } from '../flags.js';
import { renderNodes } from '../node-table.js';
import { print } from '../output.js';
import { withClient } from '../with-client.js';

export const nodesListCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'list',
    'who they are, how they are, and what they carry',
    (command) => command,
    async (args) => {
      const view = await withClient(args, (client) => client.cluster());
      await print(args.output, { nodes: view.nodes }, (colors) => renderNodes(colors, view.nodes, view));
    },
  );
