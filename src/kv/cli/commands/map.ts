import type { Argv } from 'yargs';
import type { MapView } from '../../client/index.js';
import { type Globals, wholeNumber } from '../flags.js';
import { type Colors, print, renderTable } from '../output.js';
import { leadersOf, renderRing } from '../ring-report.js';
import { countSlots, slotRanges } from '../slot-text.js';
import { areWeighed, labelText, shorten } from '../text.js';
import { withClient } from '../with-client.js';

async function render(colors: Colors, view: MapView): Promise<string> {
  const weighed = areWeighed(view.shards);
  const shards = view.shards.map(({ id, slots, members, weight = 1 }) => [
    id,
    String(countSlots(slotRanges(slots))),
    ...(weighed ? [String(weight)] : []),
    members.join(','),
    slots === '' ? '-' : shorten(slots, 80),
  ]);
  const nodes = view.nodes.map(({ id, http, peer, labels }) => [id, http, peer, labelText(labels)]);
  return [
    `cluster ${view.cluster_id}  epoch ${view.epoch}`,
    '',
    await renderTable(
      colors,
      [
        { title: 'SHARD' },
        { title: 'COUNT', right: true },
        ...(weighed ? [{ title: 'WEIGHT', right: true }] : []),
        { title: 'MEMBERS' },
        { title: 'SLOTS' },
      ],
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
    (command) =>
      command
        .option('epoch', { type: 'string', requiresArg: true, describe: 'the map as it was then' })
        .option('ring', { type: 'boolean', default: false, describe: 'as a picture: slots, shards and nodes' })
        .example('$0 map --ring', 'see how evenly slots, replicas and leaders are spread'),
    async (args) => {
      const epoch =
        args.epoch === undefined ? undefined : wholeNumber('--epoch', args.epoch, 0, Number.MAX_SAFE_INTEGER);
      const ring = args.ring && args.output === 'table';
      const { view, leaders } = await withClient(args, async (client) => ({
        view: await client.map(epoch === undefined ? {} : { epoch }),
        // The map says who is a member; who leads is another question, and nobody remembers it.
        leaders: ring && epoch === undefined ? leadersOf(await client.cluster()) : null,
      }));
      await print(args.output, view, (colors) => (ring ? renderRing(colors, view, leaders) : render(colors, view)));
    },
  );
