import type { Argv } from 'yargs';
import type { BasicClient, ListedKey, ListOptions } from '../../client/index.js';
import { ENC_OPTION, type Globals, keyArgument, wholeNumber } from '../flags.js';
import { type Column, colorsFor, print, renderTable, write } from '../output.js';
import { byteText, durationText, encodedBytes, printable, shorten } from '../text.js';
import { withClient } from '../with-client.js';

const PAGE = 1_000;
const VALUE_WIDTH = 60;

const COLUMNS: readonly Column[] = [
  { title: 'KEY' },
  { title: 'REVISION', right: true },
  { title: 'VERSION', right: true },
  { title: 'EXPIRES', right: true },
  { title: 'TYPE' },
  { title: 'SIZE', right: true },
  { title: 'VALUE' },
];

function row(item: ListedKey): string[] {
  const value = item.value ?? Buffer.alloc(0);
  return [
    printable(item.key),
    item.revision,
    String(item.version),
    durationText(item.expiresIn_ms),
    item.contentType ?? '-',
    byteText(value.length),
    shorten(printable(value.subarray(0, VALUE_WIDTH)), VALUE_WIDTH),
  ];
}

function asJson(item: ListedKey) {
  const key = encodedBytes(item.key);
  const value = item.value === null ? null : encodedBytes(item.value);
  return {
    key: key.text,
    key_encoding: key.encoding,
    ...(value === null ? {} : { value: value.text, encoding: value.encoding }),
    revision: item.revision,
    version: item.version,
    content_type: item.contentType,
    ...(item.expiresIn_ms === null ? {} : { expires_in: item.expiresIn_ms }),
  };
}

async function* pages(client: BasicClient, options: ListOptions, most: number): AsyncGenerator<readonly ListedKey[]> {
  let left = most;
  for await (const items of client.listPages({ ...options, limit: Math.min(PAGE, most) })) {
    yield items.slice(0, left);
    left -= items.length;
    if (left <= 0) return;
  }
}

export const listCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'list [prefix]',
    'print the keys, in byte order (-l: with values and the rest)',
    (command) =>
      command
        .positional('prefix', { type: 'string', describe: 'only keys that begin with it' })
        .option('enc', ENC_OPTION)
        .option('long', { alias: 'l', type: 'boolean', default: false, describe: 'values, revisions, expiry, types' })
        .option('keys-only', { type: 'boolean', default: false, describe: 'with -o json or yaml: without values' })
        .option('start', { type: 'string', requiresArg: true, describe: 'from this key on' })
        .option('end', { type: 'string', requiresArg: true, describe: 'up to before this key' })
        .option('limit', { type: 'string', requiresArg: true, describe: 'at most so many keys' }),
    async (args) => {
      const most = args.limit === undefined ? Number.POSITIVE_INFINITY : wholeNumber('--limit', args.limit, 1, 1e9);
      const bound = (text: string | undefined) => (text === undefined ? undefined : keyArgument(text, args.enc));
      const [prefix, start, end] = [bound(args.prefix), bound(args.start), bound(args.end)];
      const plain = args.output === 'table' && !args.long;
      const options: ListOptions = {
        keysOnly: plain || (args.keysOnly && !args.long),
        ...(prefix === undefined ? {} : { prefix }),
        ...(start === undefined ? {} : { start }),
        ...(end === undefined ? {} : { end }),
      };
      await withClient(args, async (client) => {
        if (plain) {
          for await (const items of pages(client, options, most)) {
            await write(items.map((item) => `${printable(item.key)}\n`).join(''));
          }
          return;
        }
        const all: ListedKey[] = [];
        for await (const items of pages(client, options, most)) all.push(...items);
        if (args.output === 'table') {
          return write(`${await renderTable(colorsFor(process.stdout), COLUMNS, all.map(row))}\n`);
        }
        return print(args.output, { items: all.map(asJson) }, () => '');
      });
    },
  );
