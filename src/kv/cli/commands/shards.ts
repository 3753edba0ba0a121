import type { Argv } from 'yargs';
import type { Globals } from '../flags.js';
import { shardsMembersCommand } from './shards-members.js';
import { shardsTransferLeaderCommand } from './shards-transfer-leader.js';

export const shardsCommand = (yargs: Argv<Globals>) =>
  yargs.command('shards', 'members and leaders of shards', (command) =>
    shardsTransferLeaderCommand(shardsMembersCommand(command)).demandCommand(
      1,
      'name what to do: members or transfer-leader',
    ),
  );
