/**
 * The table of a node's settings: one line for each value that can be set. It is the one place that says how a setting is
 * called in the file (`raft.heartbeat_ms`), in the environment (`QUORATE_RAFT_HEARTBEAT_MS`) and as a flag
 * (`--raft-heartbeat-ms`), and how its text form is read.
 */

/** `list`: `a,b`; `map`: `k=v,k=v`. */
export type SettingKind = 'text' | 'integer' | 'list' | 'map';

export interface Setting {
  /** Path in the file, fields joined by dots. */
  readonly path: string;
  readonly kind: SettingKind;
  readonly describe: string;
}

export const SETTINGS: readonly Setting[] = [
  { path: 'id', kind: 'text', describe: 'name of this node, unique in the cluster' },
  { path: 'data_dir', kind: 'text', describe: 'directory of all data of this node' },
  { path: 'listen.http', kind: 'text', describe: 'host:port for clients' },
  { path: 'listen.peer', kind: 'text', describe: 'host:port for other nodes' },
  {
    path: 'advertise.http',
    kind: 'text',
    describe: 'host:port by which clients reach this node (default: listen.http)',
  },
  { path: 'advertise.peer', kind: 'text', describe: 'host:port by which nodes reach this node (default: listen.peer)' },
  { path: 'labels', kind: 'map', describe: 'where the node stands, e.g. zone=a,host=h1' },
  { path: 'bootstrap.nodes', kind: 'map', describe: 'peer addresses of the nodes of a new cluster, n1=host:port,…' },
  { path: 'bootstrap.shards', kind: 'integer', describe: 'shards of a new cluster' },
  {
    path: 'bootstrap.replicas',
    kind: 'integer',
    describe: 'replicas of each shard of a new cluster (default: 3, or one a node)',
  },
  {
    path: 'join',
    kind: 'list',
    describe: 'peer addresses of a running cluster to join instead of bootstrap, host:port,…',
  },
  { path: 'raft.heartbeat_ms', kind: 'integer', describe: 'how often a leader is heard from' },
  { path: 'raft.election_timeout_ms', kind: 'integer', describe: 'silence after which a follower campaigns' },
  { path: 'raft.snapshot_log_bytes', kind: 'integer', describe: 'log kept for a replica before it needs a snapshot' },
  { path: 'limits.value_bytes', kind: 'integer', describe: 'largest value' },
  { path: 'limits.inflight_bytes', kind: 'integer', describe: 'requests in progress before new ones get 429' },
  { path: 'cors.origins', kind: 'list', describe: 'web origins that may call the API' },
  { path: 'log.level', kind: 'text', describe: 'fatal, error, warn, info, debug, trace or silent' },
];

export const environmentName = (path: string): string => `QUORATE_${path.replaceAll('.', '_').toUpperCase()}`;

/** Without the leading dashes. */
export const flagName = (path: string): string => path.replaceAll(/[._]/g, '-');

/** Variables of the same prefix that are not settings of a node. */
const OTHER_VARIABLES = new Set(['QUORATE_ENDPOINTS', 'QUORATE_CONFIG', 'QUORATE_OUTPUT', 'QUORATE_DEV_CHILD']);

/** Kubernetes and Docker links set these for a service called `quorate…` without being asked. */
const SERVICE_LINK = /^QUORATE_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_.*)?|PORT(?:_.*)?)$/;

/** A `QUORATE_*` variable that nothing reads: most likely a typing error, and then silence would be wrong. */
export function unknownVariable(env: Readonly<Record<string, string | undefined>>): string | null {
  const known = new Set(SETTINGS.map((setting) => environmentName(setting.path)));
  for (const name of Object.keys(env).sort()) {
    if (!name.startsWith('QUORATE_') || known.has(name) || OTHER_VARIABLES.has(name)) continue;
    if (!SERVICE_LINK.test(name)) return name;
  }
  return null;
}

export type ParsedText =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: string };

const words = (text: string): string[] =>
  text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');

/** Reads a setting from the environment or a flag. Ranges and shapes are the schema's business, not this function's. */
export function parseSettingText(kind: SettingKind, text: string): ParsedText {
  switch (kind) {
    case 'text':
      return { ok: true, value: text };
    case 'integer':
      return /^-?[0-9]+$/.test(text.trim())
        ? { ok: true, value: Number(text) }
        : { ok: false, error: `must be a whole number, not ${JSON.stringify(text)}` };
    case 'list':
      return { ok: true, value: words(text) };
    case 'map': {
      const entries: [string, string][] = [];
      for (const word of words(text)) {
        const at = word.indexOf('=');
        if (at < 1) return { ok: false, error: `must look like name=value,name=value, not ${JSON.stringify(text)}` };
        const name = word.slice(0, at);
        if (entries.some(([other]) => other === name)) return { ok: false, error: `names ${name} twice` };
        entries.push([name, word.slice(at + 1)]);
      }
      return { ok: true, value: Object.fromEntries(entries) };
    }
  }
}
