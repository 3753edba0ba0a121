/**
 * What commands print. Answers go to stdout, everything said to a person beside them to stderr. Colours only on a terminal
 * and never under NO_COLOR (no-color.org).
 */
import { once } from 'node:events';
import pc from 'picocolors';
import type { OutputFormat } from './flags.js';

export type Colors = ReturnType<typeof pc.createColors>;

/** Not left to picocolors: it also colours pipes where `CI` or `FORCE_COLOR` is set. */
export function colorsFor(stream: NodeJS.WriteStream): Colors {
  const { NO_COLOR, TERM } = process.env;
  return pc.createColors(stream.isTTY === true && (NO_COLOR === undefined || NO_COLOR === '') && TERM !== 'dumb');
}

/** Resolves when the stream takes more, so that a slow reader is waited for and not buffered for. */
export async function write(data: string | Uint8Array): Promise<void> {
  if (!process.stdout.write(data)) await once(process.stdout, 'drain');
}

export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

export function warn(line: string): void {
  say(`${colorsFor(process.stderr).yellow('warning:')} ${line}`);
}

/** Prints `value` as JSON or YAML, or what `table` makes of it for people. */
export async function print(
  format: OutputFormat,
  value: unknown,
  table: (colors: Colors) => string | Promise<string>,
): Promise<void> {
  switch (format) {
    case 'json':
      return write(`${JSON.stringify(value, null, 2)}\n`);
    case 'yaml': {
      const { stringify } = await import('yaml');
      // Through JSON: no aliases for what occurs twice, nothing that JSON would not show.
      return write(stringify(JSON.parse(JSON.stringify(value)), { lineWidth: 0 }));
    }
    case 'table': {
      const text = await table(colorsFor(process.stdout));
      return write(text.endsWith('\n') ? text : `${text}\n`);
    }
  }
}

export interface Column {
  readonly title: string;
  readonly right?: boolean;
}

const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** Columns without borders: read by people, cut by awk. */
export async function renderTable(
  colors: Colors,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): Promise<string> {
  const { default: Table } = await import('cli-table3');
  const table = new Table({
    head: columns.map(({ title }) => colors.bold(title)),
    chars: NO_BORDERS,
    colAligns: columns.map(({ right }) => (right === true ? 'right' : 'left')),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  for (const row of rows) table.push([...row]);
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}
