/** `quorate dev`: from flags to a running cluster, and to its end. */
import { resolve } from 'node:path';
import { createAxiosSend } from '../../client/basic/index.js';
import { UsageError } from '../cli-error.js';
import type { OutputFormat } from '../flags.js';
import { print, say, warn } from '../output.js';
import { pairWarning } from '../pair-text.js';
import {
  baseUrl,
  type DirectoryLock,
  filesOf,
  lockDirectory,
  type NodeFiles,
  PEER_PORT_OFFSET,
  readShape,
  type Shape,
  wipe,
  writeNodeConfigs,
  writeShape,
} from './dev-directory.js';
import { DevSupervisor } from './dev-supervisor.js';
import { checkPorts } from './ports.js';

/** undefined: not given. */
export interface DevOptions {
  readonly nodes: number | undefined;
  readonly shards: number | undefined;
  readonly replicas: number | undefined;
  readonly port: number | undefined;
  readonly data: string;
  readonly fresh: boolean;
  readonly restart: boolean;
  readonly output: OutputFormat;
  /** How to run this program again: interpreter, its flags, the program's file. */
  readonly program: readonly string[];
}

const DEFAULTS: Shape = { nodes: 3, shards: 2, replicas: 3, port: 7001 };
/** Nodes of a `dev` that was killed need a moment to notice. */
const INHERITED_PATIENCE_MS = 6_000;

function newShape(options: DevOptions): Shape {
  const nodes = options.nodes ?? DEFAULTS.nodes;
  const replicas = options.replicas ?? Math.min(DEFAULTS.replicas, nodes);
  if (nodes < 2) throw new UsageError('--nodes: a cluster needs at least two nodes, so that a shard lives on two');
  if (replicas > nodes) throw new UsageError(`--replicas: is ${replicas}, but there are only ${nodes} nodes`);
  return { nodes, replicas, shards: options.shards ?? DEFAULTS.shards, port: options.port ?? DEFAULTS.port };
}

/** Flags that shape a new cluster do nothing to one that exists; that is said once. */
function warnIgnored(options: DevOptions, shape: Shape, directory: string): void {
  const ignored = (['nodes', 'shards', 'replicas'] as const)
    .filter((name) => options[name] !== undefined && options[name] !== shape[name])
    .map((name) => `--${name} ${options[name]} (it has ${shape[name]})`);
  if (ignored.length === 0) return;
  warn(
    `${directory} holds a cluster already: ignoring ${ignored.join(', ')}; 'quorate reshard' changes shards, --fresh starts anew`,
  );
}

interface Prepared {
  readonly shape: Shape;
  readonly nodes: readonly NodeFiles[];
}

async function prepare(options: DevOptions, directory: string, lock: DirectoryLock): Promise<Prepared> {
  const found = options.fresh ? null : readShape(directory);
  // Flags that shape a new cluster are looked at only where there is none, and before anything is thrown away for it.
  const shape = found ?? newShape(options);
  if (options.fresh) wipe(directory);
  if (found !== null) warnIgnored(options, shape, directory);
  const httpPort = options.port ?? shape.port;
  if (httpPort !== shape.port) {
    const first = shape.port + PEER_PORT_OFFSET;
    warn(
      `the nodes of ${directory} know each other by the peer ports from ${first} on, which stay; HTTP goes to ${httpPort}`,
    );
  }
  const nodes = filesOf(directory, shape, httpPort);
  const ports = nodes.flatMap((node) => [node.httpPort, node.peerPort]);
  const highest = Math.max(...ports);
  if (highest > 65_535) throw new UsageError(`--port: the last of the ports needed would be ${highest}, beyond 65535`);
  if (new Set(ports).size < ports.length) throw new UsageError('--port: HTTP ports and peer ports would overlap');
  await checkPorts(ports, lock.inherited ? INHERITED_PATIENCE_MS : 0);
  if (found === null) writeShape(directory, shape);
  writeNodeConfigs(nodes, shape);
  return { shape, nodes };
}

function announce(options: DevOptions, directory: string, { shape, nodes }: Prepared): Promise<void> {
  const endpoints = nodes.map(baseUrl);
  const at = (i: number): string => endpoints[i % endpoints.length] ?? '';
  const curls = [
    `curl -X PUT ${at(0)}/v1/kv/greeting -H 'Content-Type: text/plain' --data-binary 'hello'`,
    `curl ${at(1)}/v1/kv/greeting`,
    `curl ${at(2)}/v1/cluster`,
  ];
  const answer = { endpoints, data: directory, ...shape, curl: curls };
  return print(options.output, answer, (colors) =>
    [
      `${colors.green('ready')}: ${shape.nodes} nodes, data in ${directory}`,
      ...nodes.map((node) => `  ${node.id}  ${baseUrl(node)}  log ${node.log}`),
      '',
      ...curls,
      '',
      'Ctrl-C stops all of it',
    ].join('\n'),
  );
}

/** Resolves when all nodes have been stopped as asked. Throws where the cluster could not start. */
export async function runDev(options: DevOptions): Promise<void> {
  const directory = resolve(options.data);
  const lock = lockDirectory(directory);
  const { send, close } = createAxiosSend();
  try {
    const prepared = await prepare(options, directory, lock);
    const { program, restart } = options;
    const supervisor = new DevSupervisor({ nodes: prepared.nodes, program, restart, send, say });
    const asked = askedToStop(supervisor);
    supervisor.start();
    try {
      const view = await Promise.race([supervisor.ready(), asked]);
      if (view !== null) {
        // By what is there: members may have changed since the cluster was made.
        const pairs = pairWarning(view.shards);
        if (pairs !== null) warn(pairs);
        await announce(options, directory, prepared);
      }
      await asked;
    } finally {
      await supervisor.stop();
    }
  } finally {
    close();
    lock.release();
  }
}

/** Resolves with null at the first signal; a second one kills the nodes. */
function askedToStop(supervisor: DevSupervisor): Promise<null> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        if (asked) supervisor.kill();
        else say('stopping');
        asked = true;
        resolve(null);
      });
    }
  });
}
