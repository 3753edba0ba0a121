import type { Argv } from 'yargs';
import type { BasicClient, ClusterView, NodeView } from '../../client/index.js';
import { CliError, UsageError, withHints } from '../cli-error.js';
import type { Globals } from '../flags.js';
import { follow } from '../follow.js';
import { renderNodes } from '../node-table.js';
import { print } from '../output.js';
import { progressLine } from '../progress-line.js';
import { withClient } from '../with-client.js';

const HINTS = {
  unavailable: 'is the node started, with join in its configuration, and is this the address of its peer port?',
  conflict: "'quorate nodes list' shows who belongs to the cluster",
};

interface Added {
  readonly node: NodeView;
  /** null: it was not waited for. */
  readonly view: ClusterView | null;
}

/** The cluster as it is once it shows the node as healthy. */
async function untilHealthy(client: BasicClient, { id, http }: NodeView): Promise<Added> {
  const find = (view: ClusterView) => view.nodes.find((node) => node.id === id);
  const state = (view: ClusterView) => find(view)?.state ?? 'not known to all nodes yet';
  const line = await progressLine(null);
  try {
    const view = await follow({
      ask: () => client.cluster(),
      over: (now) => state(now) === 'healthy' || state(now) === 'draining',
      show: (now) => line.show(`${id} is ${state(now)}`),
      place: state,
      stuck(now) {
        const what = `${id} has been added but is ${state(now)}`;
        throw new CliError(`${what}; does it run, and do the other nodes reach ${find(now)?.peer ?? http}?`);
      },
    });
    const node = find(view);
    if (node === undefined) throw new Error('invariant: what is healthy is there');
    if (node.state === 'draining') throw new CliError(`${id} is being drained: it leaves the cluster for good`);
    return { node, view };
  } finally {
    line.end();
  }
}

export const nodesAddCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'add <peer>',
    'let a node belong to the cluster, and wait until it is healthy',
    (command) =>
      command
        .positional('peer', {
          type: 'string',
          demandOption: true,
          describe: 'host:port where the node, started with join, listens for other nodes',
        })
        .option('wait', { type: 'boolean', default: true, describe: '--no-wait: only add it' })
        .example('$0 nodes add 10.0.0.4:7101', 'a node whose join cannot reach the cluster, or to wait for one'),
    async (args) => {
      const { parseAddress } = await import('../../server/config.js');
      if (parseAddress(args.peer) === null) {
        throw new UsageError(`peer: must be host:port, not ${JSON.stringify(args.peer)}`);
      }
      const { node, view } = await withClient(args, async (client): Promise<Added> => {
        const added = await withHints(HINTS, () => client.addNode(args.peer));
        return args.wait ? untilHealthy(client, added) : { node: added, view: null };
      });
      await print(args.output, node, (colors) => renderNodes(colors, [node], view));
    },
  );
