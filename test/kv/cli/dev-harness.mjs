/**
 * `quorate dev` with other nodes: flags as JSON in the first argument, the node's program after it. Plain JavaScript over what
 * `npm run build` made: it starts in a third of the time that the sources take.
 */
import { explain } from '../../../dist/kv/cli/cli-error.js';
import { runDev } from '../../../dist/kv/cli/dev/run-dev.js';

const [flags, ...program] = process.argv.slice(2);
try {
  await runDev({
    nodes: undefined,
    shards: undefined,
    replicas: undefined,
    port: undefined,
    fresh: false,
    restart: true,
    output: 'table',
    ...JSON.parse(flags ?? '{}'),
    program,
  });
} catch (error) {
  const { exit, line } = explain(error);
  console.error(`quorate: ${line}`);
  process.exitCode = exit;
}
