import type { Argv } from 'yargs';
import { ENC_OPTION, type Globals, keyArgument } from '../flags.js';
import { print } from '../output.js';
import { encodedBytes, printable } from '../text.js';
import { withClient } from '../with-client.js';

export const locateCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'locate <key>',
    'where a key lives',
    (command) =>
      command
        .positional('key', { type: 'string', demandOption: true, describe: 'the key; it need not exist' })
        .option('enc', ENC_OPTION),
    async (args) => {
      const key = keyArgument(args.key, args.enc);
      const place = await withClient(args, (client) => client.locate(key));
      const { text, encoding } = encodedBytes(key);
      await print(args.output, { key: text, key_encoding: encoding, ...place }, (colors) => {
        const leader = place.leader ?? colors.red('none');
        const members = place.members.join(', ');
        return `${printable(key)}  slot ${place.slot}  shard ${place.shard}  leader ${leader}  members ${members}  epoch ${place.epoch}`;
      });
    },
  );
