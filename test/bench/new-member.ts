/**
 * A shard that holds much gets a new member: the leader streams its state to it, what has changed since follows as entries of
 * the log. How that went stands in what the nodes have logged.
 */
import { QuorateClient } from '../../src/kv/client/index.js';
import { type LocalCluster, type LocalNode, until } from '../e2e/local-cluster.js';
import { noise } from '../e2e/noise.js';

/** Of a cluster with one shard. */
const SHARD = { name: 's1', group: 1 };
const MIB = 1024 * 1024;
const WRITERS = 8;
const WRITE_MS = 60_000;
const PATIENCE_MS = 60_000;

export interface Data {
  readonly mib: number;
  readonly valueBytes: number;
}

/** Values that nothing compresses; resolves once all members have written all of them. */
export async function fillWithData(cluster: LocalCluster, { mib, valueBytes }: Data): Promise<void> {
  const client = new QuorateClient({ endpoints: cluster.endpoints, timeout_ms: WRITE_MS });
  const count = Math.ceil((mib * MIB) / valueBytes);
  let next = 0;
  const writer = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await client.put(`data/${i}`, noise(i, valueBytes));
  };
  try {
    await Promise.all(Array.from({ length: WRITERS }, writer));
  } finally {
    client.close();
  }
  await until('all members to have it', PATIENCE_MS, async () => {
    const { shards } = await cluster.clusterView();
    return shards.every(({ members }) => members.every(({ lag }) => lag === 0));
  });
}

/** Starts a further node, and resolves once it is one of the cluster. It has no replica yet. */
export async function joined(cluster: LocalCluster, id: string): Promise<LocalNode> {
  const node = await cluster.join(id);
  await until(`${id} to be a node`, PATIENCE_MS, async () => {
    const { nodes } = await cluster.clusterView();
    return nodes.some((each) => each.id === id && each.state === 'healthy');
  });
  return node;
}

export interface Arrival extends Stream {
  /** From the order until the node is a voting member. */
  readonly member_ms: number;
}

interface Stream {
  readonly sender: string;
  /** From the first frame to the last acknowledgement. */
  readonly stream_ms: number;
  /** How often one was begun: more than once where one was broken off. */
  readonly streams: number;
}

/** Makes the node a member of the shard, and resolves once it is one. */
export async function addMember(cluster: LocalCluster, id: string, limit_ms: number): Promise<Arrival> {
  const client = new QuorateClient({ endpoints: cluster.endpoints });
  const ordered_ms = Date.now();
  try {
    await client.changeMembers(SHARD.name, { add: [id] });
    await until(`${id} to be a member of ${SHARD.name}`, limit_ms, async () => {
      const { members, joining, waits_for } = await client.members(SHARD.name);
      return members.includes(id) && joining.length === 0 && waits_for === null;
    });
  } finally {
    client.close();
  }
  return { ...streamTo(cluster, id, ordered_ms), member_ms: Date.now() - ordered_ms };
}

interface LogLine {
  readonly time: number;
  readonly node: string;
  readonly group?: number;
  readonly msg: string;
}

/** What the process says before its log is open stands among its lines as it is. */
const linesOf = (log: string): readonly LogLine[] =>
  log
    .split('\n')
    .filter((line) => /^\{.*\}$/.test(line))
    .map((line) => JSON.parse(line) as LogLine);

function streamTo(cluster: LocalCluster, id: string, since_ms: number): Stream {
  const lines = cluster.nodes
    .flatMap((node) => linesOf(cluster.logOf(node)))
    .filter(({ group, time }) => group === SHARD.group && time >= since_ms)
    .sort((a, b) => a.time - b.time);
  const begun = lines.filter(({ msg }) => msg.startsWith('sending a snapshot ') && msg.endsWith(` to ${id}`));
  const ended = lines.find(({ msg }) => msg === `snapshot to ${id}: received whole`);
  const began = begun.findLast(({ node, time }) => node === ended?.node && time <= ended.time);
  if (ended === undefined || began === undefined) throw new Error(`${id} has become a member without a snapshot`);
  return { sender: ended.node, stream_ms: ended.time - began.time, streams: begun.length };
}
