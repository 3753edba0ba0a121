/** `quorate dev` with other nodes: flags as JSON in the first argument, the node's program after it. */
import { explain } from '../../../src/kv/cli/cli-error.js';
import { type DevOptions, runDev } from '../../../src/kv/cli/dev/run-dev.js';

const [flags, ...program] = process.argv.slice(2);
const options = JSON.parse(flags ?? '{}') as Pick<DevOptions, 'data'>;
try {
  await runDev({
    nodes: undefined,
    shards: undefined,
    replicas: undefined,
    port: undefined,
    fresh: false,
    restart: true,
    output: 'table',
    ...options,
    program,
  });
} catch (error) {
  const { exit, line } = explain(error);
  console.error(`quorate: ${line}`);
  process.exitCode = exit;
}
