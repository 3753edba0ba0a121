/** A client for the time of one command. Loaded only where a command really talks to nodes: start-up time is felt. */
import type { BasicClient } from '../client/index.js';
import { duration, endpointList, type Globals } from './flags.js';

const TIMEOUT_MS_MAX = 300_000;

export async function withClient<T>(globals: Globals, use: (client: BasicClient) => Promise<T>): Promise<T> {
  const endpoints = endpointList(globals.endpoints);
  const timeout_ms = Math.min(TIMEOUT_MS_MAX, duration('--timeout', globals.timeout));
  const { BasicClient } = await import('../client/basic/index.js');
  // One request at a time gains nothing from the map: any node passes it on.
  const client = new BasicClient({ endpoints, timeout_ms, failFast: true });
  try {
    return await use(client);
  } finally {
    client.close();
  }
}
