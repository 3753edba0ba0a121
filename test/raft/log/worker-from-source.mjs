/** Starts the log's worker from its TypeScript source: tests then need no build. */
import { register } from 'tsx/esm/api';

register();
await import(new URL('../../../src/raft/log/log-worker.ts', import.meta.url).href);
