import type { Argv } from 'yargs';
import { CliError, WRITE_HINTS, withHints } from '../cli-error.js';
import { ENC_OPTION, type Globals, keyArgument } from '../flags.js';
import { print } from '../output.js';
import { encodedBytes, printable } from '../text.js';
import { withClient } from '../with-client.js';

export const delCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'del <key>',
    'remove a key',
    (command) =>
      command
        .positional('key', { type: 'string', demandOption: true, describe: 'the key' })
        .option('enc', ENC_OPTION)
        .option('if-match', { type: 'string', requiresArg: true, describe: 'only if the key has this revision' })
        .option('idempotency-key', {
          type: 'string',
          requiresArg: true,
          describe: 'makes repeating this very command safe',
        }),
    async (args) => {
      const key = keyArgument(args.key, args.enc);
      const { ifMatch, idempotencyKey } = args;
      const deleted = await withClient(args, (client) =>
        withHints(WRITE_HINTS, () =>
          client.delete(key, {
            ...(ifMatch === undefined ? {} : { ifMatch: ifMatch.replace(/^"(.*)"$/, '$1') }),
            ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
          }),
        ),
      );
      if (deleted === null) throw new CliError(`there is no key ${printable(key)}`);
      const { text, encoding } = encodedBytes(key);
      const answer = { key: text, key_encoding: encoding, revision: deleted.revision, deleted: true };
      await print(
        args.output,
        answer,
        (colors) => `${colors.green('deleted')} ${printable(key)}  revision ${deleted.revision}`,
      );
    },
  );
