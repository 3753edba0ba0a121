/** The composition root of a node: opens disk, sockets and telemetry, wires them to the cluster node, and closes them in order. */
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { openLogStorage, openTcpTransport, type RaftSettings, type TcpTransportOptions } from '../../raft/index.js';
import { createHttpApi } from '../http/index.js';
import { openLevelEngines } from '../store/engine/index.js';
import { ClusterNode } from './cluster-node.js';
import { type NodeConfig, parseAddress } from './config.js';
import { holdsLog, type Identity, openIdentity, rememberPeers, saveIdentity } from './identity.js';
import { QuietEvents } from './quiet-events.js';
import { systemBusy_ms, systemClock, systemRandom } from './system-ports.js';
import { startTelemetry } from './telemetry.js';

const MIB = 1024 * 1024;
/** How long requests under way may take after SIGTERM. */
const GRACE_MS = 5_000;
const MAX_OPERATIONS = 20_000;

export interface RunningNode {
  /** `http://host:port` as it listens. */
  readonly http: string;
  /** Resolves when the node has ended, also by itself; rejects with the reason it could not go on. */
  readonly closed: Promise<void>;
  /** Lets requests under way finish, then stops. */
  close(): Promise<void>;
}

export async function startNode(config: NodeConfig): Promise<RunningNode> {
  const log = pino({ level: config.log.level, base: { node: config.id } });
  let identity = openIdentity(config.dataDir, config.id);
  if (knowsNoCluster(config, identity)) throw new Error(noCluster(config));
  const closers: (() => Promise<unknown>)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  let ended: (error: Error | null) => void = () => undefined;
  const closed = new Promise<void>((resolve, reject) => {
    ended = (error) => (error === null ? resolve() : reject(error));
  });
  closed.catch(() => undefined);
  const fatal = (error: Error): void => {
    log.fatal({ err: error }, 'this node cannot go on');
    ended(error);
  };
  try {
    const logDirectory = join(config.dataDir, 'log');
    if (identity.clusterId !== null && !holdsLog(logDirectory)) throw new Error(lostLog(config, identity.clusterId));
    const wal = await openLogStorage({ directory: logDirectory });
    closers.push(() => wal.close());
    wal.onFailure(fatal);
    const engines = await openLevelEngines({ directory: join(config.dataDir, 'state') });
    // Peers may dial before the node stands: then nothing speaks against them yet.
    let admitting: ClusterNode | null = null;
    const transport = await openTransport(config, log, {
      incarnation: identity.incarnation,
      clusterId: () => identity.clusterId,
      admit: (peer) => admitting?.admit(peer.node) ?? null,
    });
    closers.push(() => transport.close());
    const telemetry = startTelemetry(config.id);
    closers.push(() => telemetry.close());
    const node = await ClusterNode.start(
      setupOf(config, identity),
      { clock: systemClock, random: systemRandom, log: wal, transport, engines, busy_ms: systemBusy_ms },
      {
        event: (level, text, fields) => log[level](fields, text),
        fatal,
        joined: (clusterId) => {
          identity = { ...identity, clusterId };
          saveIdentity(config.dataDir, identity);
        },
        peers: (peers) => {
          identity = rememberPeers(config.dataDir, identity, peers);
        },
      },
    );
    admitting = node;
    closers.push(() => node.close());
    telemetry.observe(node, wal);
    const http = await listenHttp(config, node, telemetry, log);
    closers.push(() => http.close());
    log.info({ http: http.url, peer: config.listen.peer }, 'node is up');
    return {
      http: http.url,
      closed,
      close: async () => {
        await node.handOver();
        await closeAll();
        ended(null);
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

const knowsNoCluster = ({ bootstrap, join }: NodeConfig, { clusterId, peers }: Identity): boolean =>
  bootstrap === null && join.length === 0 && clusterId === null && peers.size === 0;

const noCluster = ({ dataDir }: NodeConfig): string =>
  `${dataDir} holds no cluster, and the configuration has neither bootstrap, to make one, nor join, to become part of one`;

function openTransport(
  config: NodeConfig,
  log: Logger,
  who: Pick<TcpTransportOptions, 'incarnation' | 'clusterId' | 'admit'>,
): ReturnType<typeof openTcpTransport> {
  const quiet = new QuietEvents(() => systemClock.monotonic_ms());
  return openTcpTransport({
    ...who,
    self: config.id,
    listen: addressOf(config.listen.peer),
    clock: systemClock,
    random: systemRandom,
    onEvent: (event) => {
      if (quiet.passes(event)) log.info({ event }, 'transport');
    },
  });
}

/** A node that belongs to a cluster has had a log: an empty one would confirm what the lost one denies (F25). */
const lostLog = (config: NodeConfig, clusterId: string): string =>
  `${config.dataDir} belongs to cluster ${clusterId}, but its log is lost: put the log back, or remove node ${config.id} from the cluster and let it join as a new one with an empty data_dir`;

async function listenHttp(
  config: NodeConfig,
  node: ClusterNode,
  telemetry: ReturnType<typeof startTelemetry>,
  log: Logger,
): Promise<{ url: string; close: () => Promise<void> }> {
  const api = createHttpApi({
    kv: node.kv,
    admin: node.admin,
    config: {
      valueBytes: config.limits.valueBytes,
      inflightBytes: config.limits.inflightBytes,
      cors: config.cors.origins.length > 0 ? { origins: config.cors.origins } : null,
    },
    log,
    metrics: telemetry.requests,
    prometheus: telemetry.prometheus,
  });
  const { host, port } = addressOf(config.listen.http);
  await new Promise<void>((resolve, reject) => {
    api.server.once('error', reject);
    api.server.listen(port, host, () => {
      api.server.off('error', reject);
      resolve();
    });
  });
  const bound = api.server.address() as AddressInfo;
  const name = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address;
  return { url: `http://${name}:${bound.port}`, close: () => api.close(GRACE_MS) };
}

function setupOf(config: NodeConfig, identity: Identity) {
  const raft: RaftSettings = {
    heartbeat_ms: config.raft.heartbeat_ms,
    election_timeout_ms: config.raft.electionTimeout_ms,
    snapshotLogBytes: config.raft.snapshotLogBytes,
    catchUpLogBytes: 8 * config.raft.snapshotLogBytes,
    maxInflightMessages: 256,
    maxInflightBytes: 16 * MIB,
    maxMessageBytes: 1 * MIB,
    maxUncommittedBytes: Math.max(config.limits.inflightBytes, 16 * MIB),
    rowCacheBytes: 32 * MIB,
  };
  return {
    self: {
      id: config.id,
      http: config.advertise.http,
      peer: config.advertise.peer,
      labels: config.labels,
      incarnation: identity.incarnation,
    },
    clusterId: identity.clusterId,
    bootstrap:
      config.bootstrap === null
        ? null
        : {
            nodes: new Map(Object.entries(config.bootstrap.nodes)),
            shards: config.bootstrap.shards,
            replicas: config.bootstrap.replicas,
          },
    join: config.join,
    knownPeers: identity.peers,
    raft,
    maxOperations: MAX_OPERATIONS,
  };
}

/** The configuration has been checked: what is here is an address. */
function addressOf(text: string): { host: string; port: number } {
  const address = parseAddress(text);
  if (address === null) throw new Error(`invariant: ${text} is not host:port`);
  return address;
}
