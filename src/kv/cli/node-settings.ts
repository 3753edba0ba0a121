/** The flags that set a node's configuration, for `node` and `config print`: one for each setting, and the file. */
import type { Argv } from 'yargs';
import type { ConfigSources } from '../server/config.js';
import { flagName, SETTINGS } from '../server/config.js';

export function withNodeSettings<T>(yargs: Argv<T>): Argv<T & { config: string | undefined }> {
  const withFile = yargs.option('config', {
    type: 'string',
    requiresArg: true,
    describe: 'the YAML file (QUORATE_CONFIG)',
  });
  for (const { path, describe } of SETTINGS) {
    withFile.option(flagName(path), { type: 'string', requiresArg: true, describe, group: 'Settings:' });
  }
  return withFile;
}

export function nodeConfigSources(args: object, env: NodeJS.ProcessEnv): ConfigSources {
  const given = new Map<string, unknown>(Object.entries(args));
  const text = (name: string): string | undefined => {
    const value = given.get(name);
    return typeof value === 'string' ? value : undefined;
  };
  return {
    file: text('config') ?? env['QUORATE_CONFIG'],
    env,
    flags: Object.fromEntries(SETTINGS.map(({ path }) => [path, text(flagName(path))])),
  };
}
