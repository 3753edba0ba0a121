/**
 * Ports for clusters of tests. They lie below the range from which the system takes ports for outgoing connections, so that
 * no connection of anybody can sit on one, and every worker of vitest has a range of its own. Between two test runs on one
 * machine a port may still be taken after it was probed: whoever starts a process on it must be ready to try again.
 */
import { createServer } from 'node:net';

const HOST = '127.0.0.1';
const FIRST = 11_000;
const RANGE_PORTS = 2_500;
const RANGES = 8;

/** Workers of vitest count from 1; whoever is none (a benchmark) has the last range. */
const worker = Number(process.env['VITEST_POOL_ID'] ?? RANGES);
const range = FIRST + ((worker - 1) % RANGES) * RANGE_PORTS;
let next = Math.floor(Math.random() * RANGE_PORTS);

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: HOST, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** A port P such that P + each of `offsets` is free; this process does not give the same one again for a long time. */
export async function freePortWith(offsets: readonly number[]): Promise<number> {
  const span = Math.max(...offsets) + 1;
  for (let attempt = 0; attempt < 200; attempt++) {
    if (next + span > RANGE_PORTS) next = 0;
    const port = range + next;
    next += span;
    const free = await Promise.all(offsets.map((offset) => isFree(port + offset)));
    if (free.every(Boolean)) return port;
  }
  throw new Error(`no ${offsets.length} free ports between ${range} and ${range + RANGE_PORTS}`);
}

export async function freePorts(count: number): Promise<number[]> {
  const offsets = Array.from({ length: count }, (_, i) => i);
  const first = await freePortWith(offsets);
  return offsets.map((offset) => first + offset);
}
