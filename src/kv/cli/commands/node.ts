import type { Argv } from 'yargs';
import { CliError } from '../cli-error.js';
import type { Globals } from '../flags.js';

export const nodeCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'node',
    'run one node in the foreground',
    async (command) => (await import('../node-settings.js')).withNodeSettings(command),
    async (args) => {
      const { nodeConfigSources } = await import('../node-settings.js');
      const { loadNodeConfig } = await import('../../server/config.js');
      const loaded = loadNodeConfig(nodeConfigSources(args, process.env));
      if (!loaded.ok) throw new CliError(loaded.error);
      const { runNode } = await import('../run-node.js');
      await runNode(loaded.config);
    },
  );
