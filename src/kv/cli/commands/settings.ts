import type { Argv } from 'yargs';
import type { SettingsView } from '../../client/index.js';
import { UsageError } from '../cli-error.js';
import { duration, type Globals } from '../flags.js';
import { type Colors, print, renderTable } from '../output.js';
import { withClient } from '../with-client.js';

const REBUILD_AFTER = 'rebuild-after';
const OFF = 'off';

/** What `rebuild-after=10m` or `rebuild-after=off` is to set. */
function parseChange(text: string): { readonly rebuildAfter: string | null } {
  const [, name, value] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  if (name !== REBUILD_AFTER || value === undefined) {
    throw new UsageError(
      `settings: must look like ${REBUILD_AFTER}=10m or ${REBUILD_AFTER}=${OFF}, not ${JSON.stringify(text)}`,
    );
  }
  if (value === OFF) return { rebuildAfter: null };
  duration(REBUILD_AFTER, value);
  return { rebuildAfter: value };
}

function render(colors: Colors, { rebuild_after }: SettingsView): Promise<string> {
  const columns = ['SETTING', 'VALUE', 'MEANING'].map((title) => ({ title }));
  const meaning =
    rebuild_after === null
      ? 'replicas of a node that stays away are not made anew elsewhere'
      : `replicas of a node that is down for ${rebuild_after} are made anew elsewhere`;
  return renderTable(colors, columns, [[REBUILD_AFTER, rebuild_after ?? OFF, meaning]]);
}

export const settingsCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'settings [change]',
    'show what is set for the whole cluster, or set it',
    (command) =>
      command
        .positional('change', { type: 'string', describe: `${REBUILD_AFTER}=10m, or ${REBUILD_AFTER}=${OFF}` })
        .example('$0 settings rebuild-after=10m', 'replace what a node held that has been down for ten minutes'),
    async (args) => {
      const change = args.change === undefined ? null : parseChange(args.change);
      const view = await withClient(args, (client) =>
        change === null ? client.settings() : client.changeSettings(change),
      );
      await print(args.output, view, (colors) => render(colors, view));
    },
  );
