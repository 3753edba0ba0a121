/**
 * What clients do while something else goes on that is measured: half of their requests write, half read, small values in many
 * keys; each client talks to one node.
 */
import type { LocalCluster } from '../e2e/local-cluster.js';
import { type LoadOptions, type LoadResult, runLoad, type Target } from './http-load.js';

const VALUE = Buffer.alloc(100, 'v');
const FILLERS = 64;

/** All but for how long. */
export type Foreground = Omit<LoadOptions, 'duration_ms'>;

const path = (i: number): string => `/v1/kv/bench/${i.toString(36)}`;

export const targetOf = (endpoint: string): Target => {
  const { hostname, port } = new URL(endpoint);
  return { host: hostname, port: Number(port) };
};

/** Every key exists before anything is measured, so that a GET is never a 404. */
export async function fillForeground(cluster: LocalCluster, keys: number): Promise<void> {
  let next = 0;
  const through = new Set<number>();
  let done = (): void => {};
  const over = new Promise<void>((resolve) => {
    done = resolve;
  });
  const target = targetsOf(cluster);
  const request = (connection: number): Buffer => {
    const i = next++;
    // Who asks for more has had all its answers. Until everybody has, the first keys are written again.
    if (i >= keys && through.add(connection).size === FILLERS) done();
    return putOf(target(connection), path(i % keys));
  };
  const { errors } = await runLoad({ connections: FILLERS, warmup_ms: 0, duration_ms: 0, target, request }, over);
  if (errors > 0) throw new Error(`${errors} of ${keys} keys were not taken`);
}

const targetsOf = (cluster: LocalCluster): LoadOptions['target'] => {
  const targets = cluster.endpoints.map(targetOf);
  return (connection) => targets[connection % targets.length]!;
};

function putOf({ host, port }: Target, key: string): Buffer {
  const head = `PUT ${key} HTTP/1.1\r\nHost: ${host}:${port}\r\nContent-Length: ${VALUE.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), VALUE]);
}

/** On the nodes that there are now. */
export function foregroundOn(cluster: LocalCluster, keys: number, clients: number): Foreground {
  const target = targetsOf(cluster);
  const request = (connection: number): Buffer => {
    const { host, port } = target(connection);
    const key = path(Math.floor(Math.random() * keys));
    if (Math.random() < 0.5) return Buffer.from(`GET ${key} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`);
    return putOf({ host, port }, key);
  };
  return { connections: clients, warmup_ms: 1_000, target, request };
}

/** What the clients reach at most, measured the second time round; and themselves at a share of that. */
export async function atShareOfPeak(
  load: Foreground,
  share: number,
  duration_ms: number,
): Promise<{ readonly peak: LoadResult; readonly paced: Foreground }> {
  await runLoad({ ...load, duration_ms });
  const peak = await runLoad({ ...load, duration_ms });
  return { peak, paced: { ...load, interval_ms: (1000 * load.connections) / (share * peak.perSecond) } };
}

export const resultRow = (what: string, { perSecond, p50_ms, p99_ms, p999_ms, max_ms, errors }: LoadResult): string =>
  `${what.padEnd(14)}${String(perSecond).padStart(7)}/s   p50 ${p50_ms.toFixed(1)} ms   p99 ${p99_ms.toFixed(1)} ms   p99.9 ${p999_ms.toFixed(1)} ms   max ${max_ms.toFixed(0)} ms   failed ${errors}`;
