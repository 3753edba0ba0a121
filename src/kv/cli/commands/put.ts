import { buffer } from 'node:stream/consumers';
import type { Argv } from 'yargs';
import { UsageError, WRITE_HINTS, withHints } from '../cli-error.js';
import { duration, ENC_OPTION, type Globals, keyArgument } from '../flags.js';
import { print, say } from '../output.js';
import { encodedBytes, printable } from '../text.js';
import { withClient } from '../with-client.js';

async function valueFromStdin(): Promise<Buffer> {
  if (process.stdin.isTTY) say('reading the value from the terminal; end it with Ctrl-D');
  return buffer(process.stdin);
}

export const putCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'put <key> [value]',
    'store a value (from stdin if VALUE is left out)',
    (command) =>
      command
        .positional('key', { type: 'string', demandOption: true, describe: 'the key' })
        .positional('value', { type: 'string', describe: 'the value' })
        .option('enc', ENC_OPTION)
        .option('ttl', { type: 'string', requiresArg: true, describe: 'expires after this time, like 90s or 30d' })
        .option('content-type', { type: 'string', requiresArg: true, describe: 'stored and given back' })
        .option('if-match', {
          type: 'string',
          requiresArg: true,
          describe: 'only if the key has this revision; * if it exists',
        })
        .option('if-none-match', { type: 'string', requiresArg: true, describe: '*: only if the key does not exist' })
        .option('idempotency-key', {
          type: 'string',
          requiresArg: true,
          describe: 'makes repeating this very command safe',
        })
        .example('$0 put users/42 \'{"name":"Ada"}\'', 'a value from the command line')
        .example('$0 put flags/17 -- --verbose', 'what follows -- is taken as it is')
        .example('$0 put photos/1 --content-type image/png < photo.png', 'a file'),
    async (args) => {
      const key = keyArgument(args.key, args.enc);
      const { ttl, contentType, ifMatch, ifNoneMatch, idempotencyKey } = args;
      if (ttl !== undefined) duration('--ttl', ttl);
      if (ifNoneMatch !== undefined && ifNoneMatch !== '*') throw new UsageError('--if-none-match: only * is known');
      if (ifMatch !== undefined && ifNoneMatch !== undefined) {
        throw new UsageError('--if-match and --if-none-match exclude each other');
      }
      const value = args.value === undefined ? await valueFromStdin() : Buffer.from(args.value, 'utf8');
      const stored = await withClient(args, (client) =>
        withHints(WRITE_HINTS, () =>
          client.put(key, value, {
            ...(ttl === undefined ? {} : { ttl }),
            ...(contentType === undefined ? {} : { contentType }),
            ...(ifMatch === undefined ? {} : { ifMatch: ifMatch.replace(/^"(.*)"$/, '$1') }),
            ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
            ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
          }),
        ),
      );
      const { text, encoding } = encodedBytes(key);
      await print(args.output, { key: text, key_encoding: encoding, ...stored }, (colors) => {
        const done = colors.green(stored.created ? 'created' : 'replaced');
        return `${done} ${printable(key)}  revision ${stored.revision}  version ${stored.version}  shard ${stored.shard}`;
      });
    },
  );
