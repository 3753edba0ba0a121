/** A client for the time of one command. Loaded only where a command really talks to nodes: start-up time is felt. */
import type { QuorateClient } from '../client/index.js';
import { duration, endpointList, type Globals } from './flags.js';

const TIMEOUT_MS_MAX = 300_000;

export async function withClient<T>(globals: Globals, use: (client: QuorateClient) => Promise<T>): Promise<T> {
  const endpoints = endpointList(globals.endpoints);
  const timeout_ms = Math.min(TIMEOUT_MS_MAX, duration('--timeout', globals.timeout));
  const { QuorateClient } = await import('../client/index.js');
  // One request at a time gains nothing from the map: any node passes it on.
  const client = new QuorateClient({ endpoints, timeout_ms, direct: false, failFast: true });
  try {
    return await use(client);
  } finally {
    client.close();
  }
}
