/**
 * What a node's configuration may say. The shape and each field's range are checked by zod; what no single field can
 * know (two fields that exclude each other) by `checkCombinations`. Either way the answer is one line that begins with
 * the name of the field.
 */
import { z } from 'zod';
import { CLUSTER_REPLICAS_MAX, CLUSTER_SHARDS_MAX } from './cluster-limits.js';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const MAX_VALUE_BYTES = 16 * 1024 * 1024;
const DEFAULT_REPLICAS = 3;
const MAX_JOIN_ADDRESSES = 32;

const NODE_ID = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const ADDRESS = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]/]+)):([0-9]{1,5})$/;

/** The two halves of `host:port` (an IPv6 host in brackets), or null. */
export function parseAddress(address: string): { readonly host: string; readonly port: number } | null {
  const match = ADDRESS.exec(address);
  if (match === null) return null;
  const port = Number(match[3]);
  if (port < 1 || port > 65_535) return null;
  return { host: match[1] ?? match[2] ?? '', port };
}

const address = z.string().refine((text) => parseAddress(text) !== null, {
  error: 'must be host:port with a port from 1 to 65535',
});
const nodeId = z.string().regex(NODE_ID, {
  error: 'must be 1 to 63 letters, digits, dots, dashes or underscores, beginning and ending with a letter or digit',
});
const integer = (min: number, max: number) =>
  z
    .int({ error: (issue) => (issue.code === 'invalid_type' ? undefined : 'must be a whole number') })
    .min(min, { error: `must be at least ${min}` })
    .max(max, { error: `must be at most ${max}` });

const origin = z.string().refine((text) => text === '*' || (URL.canParse(text) && new URL(text).origin === text), {
  error: 'must be an origin like https://console.example.com, without a path, or "*"',
});

const addressPair = z.strictObject({ http: address.optional(), peer: address.optional() });

/** The shape of the file, before defaults. Everything else (environment, flags) is laid over it first. */
export const configSchema = z.strictObject({
  id: nodeId,
  data_dir: z.string().min(1, { error: 'must name a directory' }),
  listen: addressPair.prefault({}),
  advertise: addressPair.prefault({}),
  labels: z.record(z.string(), z.string()).prefault({}),
  bootstrap: z
    .strictObject({
      nodes: z.record(nodeId, address),
      shards: integer(1, CLUSTER_SHARDS_MAX).default(2),
      replicas: integer(1, CLUSTER_REPLICAS_MAX).optional(),
    })
    .optional(),
  join: z
    .array(address)
    .max(MAX_JOIN_ADDRESSES, { error: `must name at most ${MAX_JOIN_ADDRESSES} addresses` })
    .prefault([]),
  raft: z
    .strictObject({
      heartbeat_ms: integer(5, 60_000).default(100),
      election_timeout_ms: integer(20, 600_000).default(1000),
      snapshot_log_bytes: integer(65_536, 2 ** 40).default(67_108_864),
    })
    .prefault({}),
  limits: z
    .strictObject({
      value_bytes: integer(1, MAX_VALUE_BYTES).default(1_048_576),
      inflight_bytes: integer(65_536, 2 ** 36).default(67_108_864),
    })
    .prefault({}),
  cors: z.strictObject({ origins: z.array(origin).prefault([]) }).prefault({}),
  log: z.strictObject({ level: z.enum(LOG_LEVELS).default('info') }).prefault({}),
});

export type CheckedConfig = z.output<typeof configSchema>;

const typeName = (value: unknown): string => {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  switch (typeof value) {
    case 'object':
      return 'a group of fields';
    case 'undefined':
      return 'nothing';
    default:
      return `${JSON.stringify(value)}`;
  }
};

const EXPECTED: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a whole number',
  int: 'a whole number',
  object: 'a group of fields',
  record: 'a group of name: value',
  array: 'a list',
  boolean: 'true or false',
};

function unknownField(path: string, keys: readonly string[]): string {
  const field = path === '' ? keys[0] : `${path}.${keys[0]}`;
  return `${field}: unknown field`;
}

/** One line, `field: what is wrong`. */
export function describeIssue(issue: z.core.$ZodIssue): string {
  const path = issue.path.join('.');
  switch (issue.code) {
    case 'unrecognized_keys':
      return unknownField(path, issue.keys);
    case 'invalid_type':
      return issue.input === undefined
        ? `${path}: is missing`
        : `${path || 'the configuration'}: must be ${EXPECTED[issue.expected] ?? issue.expected}, not ${typeName(issue.input)}`;
    case 'invalid_value':
      return `${path}: must be one of ${issue.values.join(', ')}, not ${typeName(issue.input)}`;
    case 'invalid_key':
      return `${path}: ${issue.issues[0]?.message ?? 'is no valid name'}`;
    default:
      return `${path}: ${issue.message}${typeof issue.input === 'object' ? '' : `, not ${typeName(issue.input)}`}`;
  }
}

const isWildcard = (text: string): boolean => {
  const host = parseAddress(text)?.host;
  return host === '0.0.0.0' || host === '::';
};

/** The section in force. One that names no nodes is none where the node joins: a file may serve both. */
export function bootstrapOf(config: CheckedConfig): CheckedConfig['bootstrap'] {
  const { bootstrap, join } = config;
  const empty = bootstrap !== undefined && Object.keys(bootstrap.nodes).length === 0;
  return empty && join.length > 0 ? undefined : bootstrap;
}

function checkJoin(config: CheckedConfig): string | null {
  const { join } = config;
  if (join.length > 0 && bootstrapOf(config) !== undefined) return 'join: excludes bootstrap';
  const again = join.findIndex((peer, i) => join.indexOf(peer) !== i);
  return again === -1
    ? null
    : `join.${again}: has the same address ${join[again]} as join.${join.indexOf(join[again]!)}`;
}

function checkBootstrap(config: CheckedConfig): string | null {
  const bootstrap = bootstrapOf(config);
  if (bootstrap === undefined) return null;
  const ids = Object.keys(bootstrap.nodes);
  if (ids.length < 2) return `bootstrap.nodes: names ${ids.length} node(s), but a shard needs at least two nodes`;
  if (bootstrap.nodes[config.id] === undefined) {
    return `bootstrap.nodes: must contain this node's id ${config.id}; it names ${ids.join(', ')}`;
  }
  const seen = new Map<string, string>();
  for (const [id, peer] of Object.entries(bootstrap.nodes)) {
    const other = seen.get(peer);
    if (other !== undefined) return `bootstrap.nodes.${id}: has the same address ${peer} as ${other}`;
    seen.set(peer, id);
  }
  const { replicas } = bootstrap;
  if (replicas === undefined) return null;
  if (replicas < 2) return `bootstrap.replicas: must be at least 2, so that each shard lives on at least two nodes`;
  if (replicas > ids.length) {
    return `bootstrap.replicas: is ${replicas}, but bootstrap.nodes names only ${ids.length} nodes`;
  }
  return null;
}

/** What is impossible although each field alone is fine; null if nothing is. `advertise` is resolved already. */
export function checkCombinations(
  config: CheckedConfig,
  listen: { readonly http: string; readonly peer: string },
  advertise: { readonly http: string; readonly peer: string },
): string | null {
  if (config.raft.heartbeat_ms * 2 >= config.raft.election_timeout_ms) {
    return 'raft.heartbeat_ms: must be less than election_timeout_ms / 2';
  }
  if (config.limits.inflight_bytes < config.limits.value_bytes * 2) {
    return 'limits.inflight_bytes: must be at least twice limits.value_bytes';
  }
  if (listen.http === listen.peer) return `listen.peer: is the same address as listen.http (${listen.http})`;
  if (isWildcard(advertise.http))
    return `advertise.http: must be an address that clients can reach, not ${advertise.http}`;
  if (isWildcard(advertise.peer))
    return `advertise.peer: must be an address that nodes can reach, not ${advertise.peer}`;
  return checkJoin(config) ?? checkBootstrap(config);
}

/** How many replicas each shard of the new cluster begins with. */
export const replicasOf = (bootstrap: {
  readonly nodes: Readonly<Record<string, string>>;
  readonly replicas: number | null;
}): number => bootstrap.replicas ?? Math.min(DEFAULT_REPLICAS, Object.keys(bootstrap.nodes).length);
