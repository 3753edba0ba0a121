import type { Argv } from 'yargs';
import type { BasicClient, ClusterView, NodeView } from '../../client/index.js';
import { withHints } from '../cli-error.js';
import type { Globals } from '../flags.js';
import { follow } from '../follow.js';
import { loadOf } from '../node-load.js';
import { print } from '../output.js';
import { progressLine } from '../progress-line.js';
import { shorten } from '../text.js';
import { withClient } from '../with-client.js';

const SHARDS_WIDTH = 48;

const HINTS = {
  plan_impossible: "its replicas need another place: add a node first ('quorate nodes add HOST:PORT')",
  conflict: "'quorate nodes list' and 'quorate reshard status' show what is in progress",
  not_found: "'quorate nodes list' shows who belongs to the cluster",
};

/** What still keeps the node in the cluster. */
const leftOn = (id: string, view: ClusterView): string[] => {
  const { replicas, controller } = loadOf(id, view);
  return controller ? [...replicas, 'controller'] : [...replicas];
};

function leftText(id: string, left: readonly string[]): string {
  if (left.length === 0) return `${id}: nothing is left on it, it is about to leave`;
  const shards = shorten(left.join(', '), SHARDS_WIDTH);
  return `${id}: ${left.length} ${left.length === 1 ? 'replica' : 'replicas'} left (${shards})`;
}

async function reasonOf(client: BasicClient, shard: string): Promise<string | null> {
  try {
    return (await client.members(shard)).waits_for;
  } catch {
    // Nothing but a reason is missing then, and the waiting goes on.
    return null;
  }
}

/** Why nothing moves, as far as the cluster says. */
async function stuckText(client: BasicClient, id: string, left: readonly string[]): Promise<string> {
  const shard = left.find((name) => name !== 'controller');
  if (left.length === 0) {
    return `${leftText(id, left)}; if the answers come from ${id} itself, name other nodes with --endpoints`;
  }
  const reason = shard === undefined ? null : await reasonOf(client, shard);
  const hint = reason === null ? "'quorate status' tells more" : `${shard} waits: ${reason}`;
  return `${leftText(id, left)}, and nothing has changed for a while; ${hint}`;
}

async function untilGone(client: BasicClient, id: string): Promise<void> {
  const before = await client.cluster();
  const total = leftOn(id, before).length;
  const line = await progressLine(total);
  let newest = before;
  try {
    await follow({
      first: before,
      ask: async () => {
        // Nodes learn of a new map one after another: an older one is no step back.
        const view = await client.cluster();
        if (view.epoch >= newest.epoch) newest = view;
        return newest;
      },
      over: ({ nodes }) => !nodes.some((node) => node.id === id),
      show(view) {
        const left = leftOn(id, view);
        line.show(leftText(id, left), Math.max(0, total - left.length));
      },
      place: (view) => leftText(id, leftOn(id, view)),
      stuck: async (view) => line.note(await stuckText(client, id, leftOn(id, view))),
    });
  } finally {
    line.end();
  }
}

export const nodesDrainCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'drain <id>',
    'move everything off a node, and wait until it has left the cluster for good',
    (command) =>
      command
        .positional('id', { type: 'string', demandOption: true, describe: 'the node, like n3' })
        .option('wait', { type: 'boolean', default: true, describe: '--no-wait: only begin' })
        .example('$0 nodes drain n3', 'before the machine of n3 is switched off'),
    async (args) => {
      const { id, wait } = args;
      const node = await withClient(args, async (client): Promise<NodeView> => {
        const draining = await withHints(HINTS, () => client.removeNode(id));
        if (wait) await untilGone(client, id);
        return wait ? { ...draining, state: 'gone' } : draining;
      });
      await print(args.output, node, (colors) =>
        wait
          ? `${colors.green(id)} has left the cluster; its process can be stopped`
          : `${id} ${colors.yellow(node.state)}; 'quorate nodes list' shows what is left on it`,
      );
    },
  );
