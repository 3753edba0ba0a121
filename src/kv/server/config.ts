/**
 * A node's configuration: what a flag says comes before the environment, the environment before the file, the file before
 * the default, value by value; where each value came from is kept for `quorate config print`. Anything wrong stops the
 * start with one line that names the field.
 */
import { readConfigFile } from './config-file.js';
import {
  bootstrapOf,
  type CheckedConfig,
  checkCombinations,
  configSchema,
  describeIssue,
  type LogLevel,
  replicasOf,
} from './config-schema.js';
import { environmentName, flagName, parseSettingText, SETTINGS, unknownVariable } from './config-settings.js';

export { type LogLevel, parseAddress } from './config-schema.js';
export { environmentName, flagName, SETTINGS, type Setting, type SettingKind } from './config-settings.js';

export interface AddressPair {
  /** `host:port`, for clients. */
  readonly http: string;
  /** `host:port`, for other nodes. */
  readonly peer: string;
}

export interface BootstrapConfig {
  /** Peer addresses `host:port` by node id; holds this node's own. */
  readonly nodes: Readonly<Record<string, string>>;
  readonly shards: number;
  /** Of each shard. null: three, or as many as there are nodes, and up to three later when nodes join. */
  readonly replicas: number | null;
}

export interface NodeConfig {
  readonly id: string;
  readonly dataDir: string;
  readonly listen: AddressPair;
  readonly advertise: AddressPair;
  readonly labels: Readonly<Record<string, string>>;
  /** How to found a cluster; ignored once `dataDir` holds one. null: `dataDir` holds one, or this node joins one. */
  readonly bootstrap: BootstrapConfig | null;
  /** Peer addresses `host:port` of a running cluster to join; none next to `bootstrap`. */
  readonly join: readonly string[];
  readonly raft: {
    readonly heartbeat_ms: number;
    readonly electionTimeout_ms: number;
    readonly snapshotLogBytes: number;
  };
  readonly limits: { readonly valueBytes: number; readonly inflightBytes: number };
  readonly cors: { readonly origins: readonly string[] };
  readonly log: { readonly level: LogLevel };
}

export type ConfigSource = 'flag' | 'environment' | 'file' | 'default';

/** One value in force. */
export interface ConfigValue {
  /** As in the file: `raft.heartbeat_ms`. */
  readonly path: string;
  readonly value: unknown;
  readonly source: ConfigSource;
  /** `--raft-heartbeat-ms`, `QUORATE_RAFT_HEARTBEAT_MS`, the file's name; empty for a default. */
  readonly origin: string;
}

export type LoadedConfig =
  | { readonly ok: true; readonly config: NodeConfig; readonly provenance: readonly ConfigValue[] }
  | { readonly ok: false; readonly error: string };

export interface ConfigSources {
  /** Path of the YAML file. */
  readonly file?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** By path (`raft.heartbeat_ms`), as text. */
  readonly flags: Readonly<Record<string, string | undefined>>;
}

type Fields = Record<string, unknown>;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function read(tree: Fields, path: string): unknown {
  let at: unknown = tree;
  for (const field of path.split('.')) {
    if (!isFields(at) || !Object.hasOwn(at, field)) return undefined;
    at = at[field];
  }
  return at;
}

/** A group in the way that is no group stays: the schema will name it. */
function write(tree: Fields, path: string, value: unknown): void {
  const fields = path.split('.');
  const last = fields.pop() ?? path;
  let at = tree;
  for (const field of fields) {
    const next = at[field] ?? {};
    if (!isFields(next)) return;
    at[field] = next;
    at = next;
  }
  at[last] = value;
}

interface Overlay {
  readonly sources: Map<string, { readonly source: ConfigSource; readonly origin: string }>;
  readonly error: string | null;
}

/** Lays environment and flags over the file's fields. */
function overlay(tree: Fields, { file, env, flags }: ConfigSources): Overlay {
  const sources: Overlay['sources'] = new Map();
  for (const { path, kind } of SETTINGS) {
    if (read(tree, path) !== undefined) sources.set(path, { source: 'file', origin: file ?? '' });
    const layers = [
      { source: 'environment', origin: environmentName(path), text: env[environmentName(path)] },
      { source: 'flag', origin: `--${flagName(path)}`, text: flags[path] },
    ] as const;
    for (const { source, origin, text } of layers) {
      if (text === undefined) continue;
      const parsed = parseSettingText(kind, text);
      if (!parsed.ok) return { sources, error: `${path}: ${parsed.error} (${origin})` };
      write(tree, path, parsed.value);
      sources.set(path, { source, origin });
    }
  }
  return { sources, error: null };
}

function complete(checked: CheckedConfig): NodeConfig {
  const listen = { http: checked.listen.http ?? '127.0.0.1:7001', peer: checked.listen.peer ?? '127.0.0.1:7101' };
  const { raft, limits } = checked;
  const bootstrap = bootstrapOf(checked);
  return {
    id: checked.id,
    dataDir: checked.data_dir,
    listen,
    advertise: { http: checked.advertise.http ?? listen.http, peer: checked.advertise.peer ?? listen.peer },
    labels: checked.labels,
    bootstrap:
      bootstrap === undefined
        ? null
        : { nodes: bootstrap.nodes, shards: bootstrap.shards, replicas: bootstrap.replicas ?? null },
    join: checked.join,
    raft: {
      heartbeat_ms: raft.heartbeat_ms,
      electionTimeout_ms: raft.election_timeout_ms,
      snapshotLogBytes: raft.snapshot_log_bytes,
    },
    limits: { valueBytes: limits.value_bytes, inflightBytes: limits.inflight_bytes },
    cors: checked.cors,
    log: checked.log,
  };
}

/** The file's names for what is in force. */
function inForce(checked: CheckedConfig, config: NodeConfig): Fields {
  const { listen, advertise } = config;
  const bootstrap = config.bootstrap === null ? {} : { ...config.bootstrap, replicas: replicasOf(config.bootstrap) };
  return { ...checked, listen, advertise, bootstrap };
}

/** Never throws; never more than one line of error. */
export function loadNodeConfig(sources: ConfigSources): LoadedConfig {
  const file = sources.file === undefined ? { ok: true as const, data: {} } : readConfigFile(sources.file);
  if (!file.ok) return file;
  const stray = unknownVariable(sources.env);
  if (stray !== null) return { ok: false, error: `${stray}: unknown environment variable` };

  const tree = structuredClone(file.data) as Fields;
  const { sources: origins, error } = overlay(tree, sources);
  if (error !== null) return { ok: false, error };

  const checked = configSchema.safeParse(tree, { reportInput: true });
  if (!checked.success) {
    const issue = checked.error.issues[0];
    if (issue === undefined) throw new Error('invariant: a refusal of the schema has an issue');
    return { ok: false, error: describeIssue(issue) };
  }
  const config = complete(checked.data);
  const impossible = checkCombinations(checked.data, config.listen, config.advertise);
  if (impossible !== null) return { ok: false, error: impossible };

  const values = inForce(checked.data, config);
  const provenance: ConfigValue[] = [];
  for (const { path } of SETTINGS) {
    const value = read(values, path);
    if (value === undefined) continue;
    provenance.push({ path, value, ...(origins.get(path) ?? { source: 'default', origin: '' }) });
  }
  return { ok: true, config, provenance };
}
