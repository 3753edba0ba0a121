import type { Argv } from 'yargs';
import { CliError } from '../cli-error.js';
import { duration, ENC_OPTION, type Globals, keyArgument } from '../flags.js';
import { print, write } from '../output.js';
import { encodedBytes, printable } from '../text.js';
import { withClient } from '../with-client.js';

const NEWLINE = 0x0a;

export const getCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'get <key>',
    'print a value, byte for byte (-o json: with revision, version and type)',
    (command) =>
      command
        .positional('key', { type: 'string', demandOption: true, describe: 'the key' })
        .option('enc', ENC_OPTION)
        .option('consistency', {
          choices: ['linearizable', 'stale'] as const,
          requiresArg: true,
          describe: 'stale: from any replica',
        })
        .option('max-staleness', {
          type: 'string',
          requiresArg: true,
          describe: 'with stale: the oldest that will do',
        }),
    async (args) => {
      const key = keyArgument(args.key, args.enc);
      const { consistency, maxStaleness } = args;
      const found = await withClient(args, (client) =>
        client.get(key, {
          ...(consistency === undefined ? {} : { consistency }),
          ...(maxStaleness === undefined ? {} : { maxStaleness_ms: duration('--max-staleness', maxStaleness) }),
        }),
      );
      if (found === null) throw new CliError(`there is no key ${printable(key)}`);
      if (args.output === 'table') {
        await write(found.value);
        // A terminal's prompt belongs on a line of its own; a file gets the value and nothing else.
        if (process.stdout.isTTY && found.value.at(-1) !== NEWLINE) await write('\n');
        return;
      }
      const { text, encoding } = encodedBytes(key);
      const value = encodedBytes(found.value);
      const answer = {
        key: text,
        key_encoding: encoding,
        value: value.text,
        encoding: value.encoding,
        revision: found.revision,
        version: found.version,
        content_type: found.contentType,
        shard: found.shard,
        ...(found.expiresIn_ms === null ? {} : { expires_in: found.expiresIn_ms }),
      };
      await print(args.output, answer, () => '');
    },
  );
