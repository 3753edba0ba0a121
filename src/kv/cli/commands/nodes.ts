import type { Argv } from 'yargs';
import type { Globals } from '../flags.js';
import { nodesAddCommand } from './nodes-add.js';
import { nodesDrainCommand } from './nodes-drain.js';
import { nodesListCommand } from './nodes-list.js';

export const nodesCommand = (yargs: Argv<Globals>) =>
  yargs.command('nodes', 'the nodes of the cluster: who they are, and how they come and go', (command) =>
    nodesDrainCommand(nodesAddCommand(nodesListCommand(command))).demandCommand(
      1,
      'name what to do: list, add or drain',
    ),
  );
