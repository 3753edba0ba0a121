import type { Argv } from 'yargs';
import type { MapView } from '../../client/index.js';
import { type Globals, wholeNumber } from '../flags.js';
import { type Colors, print, renderTable } from '../output.js';
import { labelText, shorten } from '../text.js';
import { withClient } from '../with-client.js';

/** How many slots a text of ranges like `0-99,200` names. */
function countSlots(slots: string): number {
  let count = 0;
  for (const range of slots.split(',')) {
    const [first, last] = range.split('-').map(Number);
    if (range !== '' && first !== undefined) count += (last ?? first) - first + 1;
  }
  return count;
}

async function render(colors: Colors, view: MapView): Promise<string> {
  const shards = view.shards.map(({ id, slots, members }) => [
    id,
    String(countSlots(slots)),
    members.join(','),
    slots === '' ? '-' : shorten(slots, 80),
  ]);
  const nodes = view.nodes.map(({ id, http, peer, labels }) => [id, http, peer, labelText(labels)]);
  return [
    `cluster ${view.cluster_id}  epoch ${view.epoch}`,
    '',
    await renderTable(
      colors,
      [{ title: 'SHARD' }, { title: 'COUNT', right: true }, { title: 'MEMBERS' }, { title: 'SLOTS' }],
      shards,
    ),
    '',
    await renderTable(colors, [{ title: 'NODE' }, { title: 'HTTP' }, { title: 'PEER' }, { title: 'LABELS' }], nodes),
  ].join('\n');
}

export const mapCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'map',
    'which shard owns which slots, now or at an earlier epoch',
    (command) => command.option('epoch', { type: 'string', requiresArg: true, describe: 'the map as it was then' }),
    async (args) => {
      const epoch =
        args.epoch === undefined ? undefined : wholeNumber('--epoch', args.epoch, 0, Number.MAX_SAFE_INTEGER);
      const view = await withClient(args, (client) => client.map(epoch === undefined ? {} : { epoch }));
      await print(args.output, view, (colors) => render(colors, view));
    },
  );
