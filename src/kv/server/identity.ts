/**
 * Who this node is: id, incarnation and cluster, kept in `node.json` of its data directory from its first start on
 * (architecture decision 10). Adapter: the only place that reads and writes that file.
 *
 *   { "format": 1, "id": "n4", "incarnation": "<32 hex digits>", "cluster_id": null or text,
 *     "peers": { "n1": "host:port", … }, "incarnations": { "n1": "<32 hex digits>", … } }
 *
 * `peers` is where the cluster's other nodes were heard of last: by it a node that once joined finds the cluster again though
 * nobody listens any more at the addresses it joined by. A hint, not the truth: that is the map. `incarnations` are those that a map has
 * named: a node that has restarted, and has no map yet, must not take a peer whose disk was lost meanwhile for the one that it was
 * (F25). Both are left out while there are none.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { PeerAddress } from '../../raft/index.js';

const FORMAT = 1;

const identitySchema = z.strictObject({
  format: z.literal(FORMAT),
  id: z.string().min(1),
  incarnation: z.string().regex(/^[0-9a-f]{32}$/),
  /** null until the cluster has been made. */
  cluster_id: z.string().nullable(),
  peers: z.record(z.string().min(1), z.string().min(1)).optional(),
  incarnations: z.record(z.string().min(1), z.string().min(1)).optional(),
});

export interface Identity {
  readonly id: string;
  readonly incarnation: string;
  readonly clusterId: string | null;
  /** By node; addresses are `host:port`. */
  readonly peers: ReadonlyMap<string, PeerAddress>;
}

/** Throws with one line that says what is wrong and what to do. */
export function openIdentity(dataDir: string, id: string): Identity {
  const file = join(dataDir, 'node.json');
  if (!existsSync(file)) {
    mkdirSync(dataDir, { recursive: true });
    const fresh: Identity = { id, incarnation: randomBytes(16).toString('hex'), clusterId: null, peers: new Map() };
    saveIdentity(dataDir, fresh);
    return fresh;
  }
  let parsed: z.infer<typeof identitySchema>;
  try {
    parsed = identitySchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    throw new Error(`${file} is not the identity of a node that this version understands; put the original back`);
  }
  if (parsed.id !== id) {
    throw new Error(`${dataDir} belongs to node ${parsed.id}, not to ${id}: set id or data_dir right`);
  }
  const { peers: addresses = {}, incarnations = {} } = parsed;
  const known = Object.entries(addresses).map(
    ([node, address]) => [node, { address, incarnation: incarnations[node] ?? null }] as const,
  );
  const peers = new Map(known);
  return { id, incarnation: parsed.incarnation, clusterId: parsed.cluster_id, peers };
}

/** Whether a log's directory has anything in it but the lock that keeps a second process out. */
export const holdsLog = (directory: string): boolean =>
  existsSync(directory) && readdirSync(directory).some((name) => name !== 'lock');

/** Durable when it returns; the old file or the new one, never a half. */
export function saveIdentity(dataDir: string, identity: Identity): void {
  const file = join(dataDir, 'node.json');
  const { id, incarnation, clusterId, peers } = identity;
  const sorted = [...peers].sort(([a], [b]) => (a < b ? -1 : 1));
  const addresses = sorted.map(([node, { address }]) => [node, address]);
  const incarnations = sorted.flatMap(([node, { incarnation }]) => (incarnation === null ? [] : [[node, incarnation]]));
  const known = {
    ...(addresses.length === 0 ? {} : { peers: Object.fromEntries(addresses) }),
    ...(incarnations.length === 0 ? {} : { incarnations: Object.fromEntries(incarnations) }),
  };
  const text = `${JSON.stringify({ format: FORMAT, id, incarnation, cluster_id: clusterId, ...known }, null, 2)}\n`;
  const fd = openSync(`${file}.new`, 'w');
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(`${file}.new`, file);
  const dir = openSync(dataDir, 'r');
  try {
    fsyncSync(dir);
  } finally {
    closeSync(dir);
  }
}

/** The identity with these peers, durable when it returns. Touches the disk only where they are others than before. */
export function rememberPeers(dataDir: string, identity: Identity, peers: ReadonlyMap<string, PeerAddress>): Identity {
  const known = identity.peers;
  const isKnown = (node: string, { address, incarnation }: PeerAddress): boolean => {
    const before = known.get(node);
    return before?.address === address && before.incarnation === incarnation;
  };
  if (peers.size === known.size && [...peers].every(([node, peer]) => isKnown(node, peer))) return identity;
  const changed = { ...identity, peers: new Map(peers) };
  saveIdentity(dataDir, changed);
  return changed;
}
