/** The command line of `npm run chaos`, read and checked before anything is started. */
import { parseArgs } from 'node:util';
import { FAMILIES, MEMBERS, NEMESES, nemesesNamed, RESHARD } from './nemeses/catalogue.js';
import type { Nemesis } from './nemeses/nemesis.js';
import { WORKLOADS } from './workloads/catalogue.js';
import type { Workload } from './workloads/workload.js';

export type Network = 'auto' | 'proxy' | 'namespaces';

export interface ChaosOptions {
  readonly time_ms: number;
  readonly nemeses: readonly Nemesis[];
  readonly reshard: boolean;
  /** Nodes come and go, members and leaders of shards change; of a cluster that is not ours, leaders only. */
  readonly members: boolean;
  /** Named one by one: what cannot be done then is an error, not something to skip. */
  readonly nemesisNames: readonly string[];
  readonly workloads: readonly Workload[];
  readonly seed: string;
  readonly nodes: number;
  readonly shards: number;
  readonly replicas: number;
  readonly network: Network;
  /** Of a cluster that is not ours; empty: one of our own. */
  readonly endpoints: readonly string[];
  /** Where report and histories go. */
  readonly out: string;
  /** From heal until every shard serves. */
  readonly limit_ms: number;
}

export type Parsed =
  | { readonly kind: 'run'; readonly options: ChaosOptions }
  | { readonly kind: 'list' }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly message: string };

class Wrong extends Error {}

const OPTIONS = {
  time: { type: 'string', default: '1m' },
  nemesis: { type: 'string' },
  workload: { type: 'string', default: 'all' },
  seed: { type: 'string' },
  nodes: { type: 'string' },
  shards: { type: 'string' },
  replicas: { type: 'string' },
  network: { type: 'string' },
  endpoints: { type: 'string' },
  out: { type: 'string', default: 'chaos-report' },
  limit: { type: 'string', default: '10s' },
  list: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

type Values = ReturnType<typeof read>['values'];
const read = (args: readonly string[]) => parseArgs({ args: [...args], options: OPTIONS, strict: true });

/** `drawSeed`: for a run that was not given one. */
export function parseArguments(args: readonly string[], drawSeed: () => string): Parsed {
  try {
    const { values } = read(args);
    if (values.help) return { kind: 'help' };
    if (values.list) return { kind: 'list' };
    return { kind: 'run', options: optionsOf(values, drawSeed) };
  } catch (error) {
    if (error instanceof Wrong) return { kind: 'wrong', message: error.message };
    if (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'))
      return { kind: 'wrong', message: error.message.split('. ')[0]! };
    throw error;
  }
}

function optionsOf(values: Values, drawSeed: () => string): ChaosOptions {
  const endpoints = endpointsOf(values.endpoints);
  const foreign = endpoints.length > 0;
  const nodes = number('nodes', values.nodes ?? '3', 3, 9);
  const replicas = number('replicas', values.replicas ?? '3', 3, 9);
  if (replicas > nodes) throw new Wrong(`--replicas ${replicas}: there are only ${nodes} nodes`);
  if (foreign) refuseForeign(values);
  const names = words('nemesis', values.nemesis ?? (foreign ? RESHARD : 'all'));
  return {
    time_ms: duration('time', values.time, 1_000),
    ...nemesesOf(names, foreign),
    nemesisNames: names.includes('all') ? [] : names,
    workloads: workloadsOf(words('workload', values.workload)),
    seed: seedOf(values.seed ?? drawSeed()),
    nodes,
    shards: number('shards', values.shards ?? '2', 1, 16),
    replicas,
    network: networkOf(values.network ?? 'auto'),
    endpoints,
    out: values.out === '' ? wrong('--out: must name a directory') : values.out,
    limit_ms: duration('limit', values.limit, 1_000),
  };
}

function wrong(message: string): never {
  throw new Wrong(message);
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const DAY_MS = 24 * 3_600_000;

function duration(name: string, text: string, least_ms: number): number {
  const match = /^([1-9][0-9]{0,8})(ms|s|m|h)$/.exec(text);
  if (match === null) return wrong(`--${name} ${text}: must be a duration like 30s, 5m or 1h`);
  const duration_ms = Number(match[1]) * UNITS_MS[match[2]!]!;
  if (duration_ms < least_ms || duration_ms > DAY_MS)
    wrong(`--${name} ${text}: must be from ${least_ms / 1000}s to 24h`);
  return duration_ms;
}

function number(name: string, text: string, least: number, most: number): number {
  const value = /^[0-9]{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) wrong(`--${name} ${text}: must be a whole number from ${least} to ${most}`);
  return value;
}

function words(name: string, text: string): readonly string[] {
  const found = text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
  return found.length === 0 ? wrong(`--${name}: names nothing; --list shows what there is`) : found;
}

type Wishes = Pick<ChaosOptions, 'nemeses' | 'reshard' | 'members'>;

function nemesesOf(names: readonly string[], foreign: boolean): Wishes {
  if (names.includes('none')) {
    const nothing = { nemeses: [], reshard: false, members: false };
    return names.length === 1 ? nothing : wrong('--nemesis: none excludes all others');
  }
  const found = new Set<Nemesis>();
  const all = names.includes('all');
  for (const name of names) {
    if (name === RESHARD || name === MEMBERS) continue;
    if (foreign) wrong(`--nemesis ${name}: needs the cluster's processes; with --endpoints there is only ${FOREIGN}`);
    const meant = name === 'all' ? NEMESES : (nemesesNamed(name) ?? wrong(unknownNemesis(name)));
    for (const each of meant) found.add(each);
  }
  return { nemeses: [...found], reshard: all || names.includes(RESHARD), members: all || names.includes(MEMBERS) };
}

const FOREIGN = `${RESHARD}, ${MEMBERS} (or none)`;

const unknownNemesis = (name: string): string =>
  `--nemesis ${name}: there is none of that name; there are ${FAMILIES.join(', ')}, all and none (--list shows variants)`;

function workloadsOf(names: readonly string[]): readonly Workload[] {
  if (names.includes('all')) return WORKLOADS;
  const known = WORKLOADS.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined)
    wrong(`--workload ${unknown}: there is none of that name; there are ${known.join(', ')} and all`);
  return WORKLOADS.filter(({ name }) => names.includes(name));
}

const seedOf = (text: string): string =>
  /^[A-Za-z0-9_-]{1,40}$/.test(text) ? text : wrong(`--seed ${text}: must be 1 to 40 letters, digits, - or _`);

function networkOf(text: string): Network {
  if (text === 'auto' || text === 'proxy' || text === 'namespaces') return text;
  return wrong(`--network ${text}: must be auto, proxy or namespaces`);
}

function endpointsOf(text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  return words('endpoints', text).map((endpoint) => {
    if (!/^http:\/\/[^/]/.test(endpoint) || !URL.canParse(endpoint))
      wrong(`--endpoints ${endpoint}: must look like http://127.0.0.1:7001`);
    return endpoint.replace(/\/+$/, '');
  });
}

/** What shapes a cluster of our own says nothing about one that is there already. */
function refuseForeign(values: Values): void {
  for (const name of ['nodes', 'shards', 'replicas', 'network'] as const) {
    if (values[name] !== undefined) wrong(`--${name}: excludes --endpoints, whose cluster has its shape already`);
  }
}
