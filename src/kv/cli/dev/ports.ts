/** Whether the ports a cluster needs are free, before anything is started on them. */
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError } from '../cli-error.js';

const HOST = '127.0.0.1';
const RETRY_MS = 100;

/** Resolves with the code of why not, or null if the port can be had. */
function probe(port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host: HOST, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

/**
 * Throws with a line that names the first port that is taken. `patience_ms`: how long to wait for ports that are being
 * given up.
 */
export async function checkPorts(ports: readonly number[], patience_ms: number): Promise<void> {
  const end_ms = performance.now() + patience_ms;
  for (const port of ports) {
    for (;;) {
      const code = await probe(port);
      if (code === null) break;
      if (performance.now() < end_ms) {
        await sleep(RETRY_MS);
        continue;
      }
      const why = code === 'EADDRINUSE' ? 'is taken' : `cannot be had (${code})`;
      throw new CliError(`port ${port} ${why}; end what uses it, or choose other ports with --port`);
    }
  }
}
