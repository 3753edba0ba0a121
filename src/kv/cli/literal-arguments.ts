/**
 * Arguments that stand for themselves: those behind `--`, and a lone `-`. yargs keeps what follows `--` from a command's
 * positionals, and reads a lone `-` as the empty text; either would store another value than the one that was typed. So each
 * is marked before yargs sees it, which then takes it for a word like any other, and the mark is taken off before a command
 * does. The mark is the one character that no argument of a process can hold.
 */
const MARK = '\0';
/** As yargs' completion script asks. */
const COMPLETIONS = '--get-yargs-completions';

/** The same arguments without the first `--`, with every one that is literal marked. */
export function markLiterals(args: readonly string[]): string[] {
  // The shell asks what may stand where a half-typed `--` is: that is no end of flags.
  if (args[0] === COMPLETIONS) return [...args];
  const end = args.indexOf('--');
  const flags = end < 0 ? args : args.slice(0, end);
  const words = end < 0 ? [] : args.slice(end + 1);
  return [...flags.map((arg) => (arg === '-' ? MARK + arg : arg)), ...words.map((arg) => MARK + arg)];
}

export const withoutMarks = (text: string): string => text.replaceAll(MARK, '');

const unmarked = (value: unknown): unknown => {
  if (typeof value === 'string') return withoutMarks(value);
  return Array.isArray(value) ? value.map(unmarked) : value;
};

/** In place, as yargs wants it of a middleware: under every name that an argument goes by. */
export function unmarkArguments(args: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(args)) args[name] = unmarked(value);
}
