import type { Argv } from 'yargs';
import type { ConfigValue } from '../../server/config.js';
import { CliError } from '../cli-error.js';
import type { Globals } from '../flags.js';
import { type Colors, print, renderTable } from '../output.js';

const valueText = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : JSON.stringify(value);

function render(colors: Colors, values: readonly ConfigValue[]): Promise<string> {
  const rows = values.map(({ path, value, source, origin }) => [
    path,
    valueText(value),
    origin === '' ? colors.dim(source) : `${source} ${origin}`,
  ]);
  return renderTable(colors, [{ title: 'FIELD' }, { title: 'VALUE' }, { title: 'FROM' }], rows);
}

export const configCommand = (yargs: Argv<Globals>) =>
  yargs.command('config', "a node's configuration", (command) =>
    command
      .command(
        'print',
        'the configuration in force, and where each value came from',
        async (sub) => (await import('../node-settings.js')).withNodeSettings(sub),
        async (args) => {
          const { nodeConfigSources } = await import('../node-settings.js');
          const { loadNodeConfig } = await import('../../server/config.js');
          const loaded = loadNodeConfig(nodeConfigSources(args, process.env));
          if (!loaded.ok) throw new CliError(loaded.error);
          await print(args.output, loaded.provenance, (colors) => render(colors, loaded.provenance));
        },
      )
      .demandCommand(1, 'name what to do: print'),
  );
