import type { Argv } from 'yargs';
import type { BasicClient, MembersView } from '../../client/index.js';
import { CliError, withHints } from '../cli-error.js';
import { type Globals, nameLists } from '../flags.js';
import { follow } from '../follow.js';
import { type Colors, print, renderTable, warn } from '../output.js';
import { pairWarning } from '../pair-text.js';
import { progressLine } from '../progress-line.js';
import { withClient } from '../with-client.js';

interface Change {
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

const listed = (names: readonly string[]): string => (names.length === 0 ? '-' : names.join(','));

function render(colors: Colors, { id, members, joining, leaving, waits_for }: MembersView): Promise<string> {
  const columns = ['SHARD', 'MEMBERS', 'JOINING', 'LEAVING', 'WAITS FOR'].map((title) => ({ title }));
  const waits = waits_for === null ? '-' : colors.yellow(waits_for);
  return renderTable(colors, columns, [[id, listed(members), listed(joining), listed(leaving), waits]]);
}

const underWay = ({ joining, leaving, waits_for }: MembersView): boolean =>
  joining.length > 0 || leaving.length > 0 || waits_for !== null;

const asAsked = ({ members }: MembersView, { add, remove }: Change): boolean =>
  add.every((node) => members.includes(node)) && !remove.some((node) => members.includes(node));

function whereText(view: MembersView): string {
  const { id, members, joining, leaving, waits_for } = view;
  if (!underWay(view)) return `${id}: members are ${members.join(', ')}`;
  const parts = [
    joining.length === 0 ? '' : `${joining.join(', ')} joining`,
    leaving.length === 0 ? '' : `${leaving.join(', ')} leaving`,
    waits_for ?? '',
  ];
  return `${id}: ${parts.filter((part) => part !== '').join('; ')}`;
}

async function untilDone(client: BasicClient, shard: string, begun: MembersView, change: Change): Promise<MembersView> {
  const line = await progressLine(null);
  try {
    return await follow({
      first: begun,
      ask: () => client.members(shard),
      // A node that has not heard of the change yet shows none under way: only the members tell.
      over: (view) => !underWay(view) && asAsked(view, change),
      show: (view) => line.show(whereText(view)),
      place: whereText,
      stuck(view) {
        if (!underWay(view)) throw new CliError(`the change has been given up; ${whereText(view)}`);
        line.note(`${whereText(view)}, and nothing has changed for a while; 'quorate status' tells more`);
      },
    });
  } finally {
    line.end();
  }
}

export const shardsMembersCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'members <shard>',
    'show the members of a shard, or change them and wait until it is done',
    (command) =>
      command
        .positional('shard', { type: 'string', demandOption: true, describe: 'like s1' })
        .option('add', { type: 'string', requiresArg: true, describe: 'nodes that are to be members, like n4,n5' })
        .option('remove', { type: 'string', requiresArg: true, describe: 'members that are to go, like n1' })
        .option('wait', { type: 'boolean', default: true, describe: '--no-wait: only begin' })
        .example('$0 shards members s1 --add n4 --remove n1', 'move a replica from n1 to n4'),
    async (args) => {
      const { shard, wait } = args;
      const { add = [], remove = [] } = nameLists({ add: args.add, remove: args.remove });
      const hints = {
        conflict: `'quorate shards members ${shard}' and 'quorate reshard status' show what is in progress`,
        outcome_unknown: `look at 'quorate shards members ${shard}' before you try again`,
      };
      const view = await withClient(args, async (client) => {
        if (add.length + remove.length === 0) return client.members(shard);
        const begun = await withHints(hints, () => client.changeMembers(shard, { add, remove }));
        return wait ? untilDone(client, shard, begun, { add, remove }) : begun;
      });
      const pair = add.length + remove.length === 0 ? null : pairWarning([view]);
      if (pair !== null) warn(pair);
      await print(args.output, view, (colors) => render(colors, view));
    },
  );
