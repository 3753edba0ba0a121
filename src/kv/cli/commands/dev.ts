import type { Argv } from 'yargs';
import { CLUSTER_REPLICAS_MAX, CLUSTER_SHARDS_MAX } from '../../server/api.js';
import { type Globals, wholeNumber } from '../flags.js';
import { NODE_FLAGS } from '../node-flags.js';

const NODES_MAX = 50;
const REPLICAS_MIN = 2;
const PORT_MAX = 65_535;

const optional = (flag: string, text: string | undefined, min: number, max: number): number | undefined =>
  text === undefined ? undefined : wholeNumber(flag, text, min, max);

export const devCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'dev',
    'run a whole cluster on this machine',
    (command) =>
      command
        .option('nodes', { type: 'string', requiresArg: true, describe: 'nodes of a new cluster [default: 3]' })
        .option('shards', { type: 'string', requiresArg: true, describe: 'shards of a new cluster [default: 2]' })
        .option('replicas', { type: 'string', requiresArg: true, describe: 'replicas of each shard [default: 3]' })
        .option('data', {
          type: 'string',
          requiresArg: true,
          default: './.quorate',
          describe: 'where the data is kept',
        })
        .option('port', { type: 'string', requiresArg: true, describe: "the first node's HTTP port [default: 7001]" })
        .option('fresh', { type: 'boolean', default: false, describe: 'throw earlier data of the directory away' })
        .option('restart', {
          type: 'boolean',
          default: true,
          describe: 'start a node that dies again (--no-restart: do not)',
        }),
    async (args) => {
      const options = {
        nodes: optional('--nodes', args.nodes, 0, NODES_MAX),
        shards: optional('--shards', args.shards, 1, CLUSTER_SHARDS_MAX),
        replicas: optional('--replicas', args.replicas, REPLICAS_MIN, CLUSTER_REPLICAS_MAX),
        port: optional('--port', args.port, 1, PORT_MAX),
        data: args.data,
        fresh: args.fresh,
        restart: args.restart,
        output: args.output,
        program: [process.execPath, ...NODE_FLAGS, ...process.execArgv, process.argv[1] ?? ''],
      };
      const { runDev } = await import('../dev/run-dev.js');
      await runDev(options);
    },
  );
