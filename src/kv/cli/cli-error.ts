/**
 * How a command ends: 0 done, 1 refused or failed, 2 wrong usage, 3 outcome unknown; and one line on stderr that says why and
 * what to do.
 */
import type { ErrorCode, QuorateError } from '../client/index.js';

export const Exit = { Done: 0, Failed: 1, Usage: 2, Unknown: 3 } as const;
export type Exit = (typeof Exit)[keyof typeof Exit];

export class CliError extends Error {
  override readonly name: string = 'CliError';
  readonly exit: Exit;

  constructor(line: string, exit: Exit = Exit.Failed) {
    super(line);
    this.exit = exit;
  }
}

export class UsageError extends CliError {
  override readonly name = 'UsageError';

  constructor(line: string) {
    super(line, Exit.Usage);
  }
}

function hintOf(error: QuorateError): string {
  switch (error.code) {
    case 'unavailable':
      return error.status === 0
        ? "start a cluster with 'quorate dev', or name a running one with --endpoints"
        : "try again; 'quorate status' tells more";
    case 'no_leader':
    case 'slot_moving':
      return "nothing was changed, try again; 'quorate status' tells more";
    case 'overloaded':
      return 'nothing was changed, try again later';
    case 'outcome_unknown':
      return 'look before you try again';
    case 'precondition_failed': {
      const { revision } = error.problem;
      if (revision === undefined) return '';
      return revision === null ? 'there is no such key' : `the key is at revision ${revision}`;
    }
    case 'conflict':
      return "'quorate reshard status' shows what is in progress";
    default:
      return '';
  }
}

// By name, not by class: the class comes with the client, which a wrong flag should not have to load.
const isQuorateError = (error: Error): error is QuorateError =>
  error.name === 'QuorateError' || error.name === 'OutcomeUnknown';

const exitOf = (error: QuorateError): Exit => (error.code === 'outcome_unknown' ? Exit.Unknown : Exit.Failed);

/** Says what to do in a command's own words where a node refuses the call with one of these codes. */
export async function withHints<T>(hints: Partial<Record<ErrorCode, string>>, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof Error && isQuorateError(error))) throw error;
    const hint = hints[error.code];
    // Where nobody answers at all, what to do is the same for all commands.
    const nobody = error.code === 'unavailable' && error.status === 0;
    if (hint === undefined || nobody) throw error;
    throw new CliError(`${error.detail}; ${hint}`, exitOf(error));
  }
}

/** Of writes: on a key nothing else is in conflict. */
export const WRITE_HINTS: Partial<Record<ErrorCode, string>> = { conflict: 'give another --idempotency-key' };

/** Joined lines and no control characters: details may quote what a server sent. */
const oneLine = (text: string): string => text.replaceAll(/\s*[\n\r]\s*/g, ' ').replaceAll(/\p{Cc}/gu, '?');

export function explain(error: unknown): { readonly exit: Exit; readonly line: string } {
  if (!(error instanceof Error)) return { exit: Exit.Failed, line: oneLine(String(error)) };
  if (error instanceof CliError) return { exit: error.exit, line: oneLine(error.message) };
  if (!isQuorateError(error)) return { exit: Exit.Failed, line: oneLine(error.message) };
  const hint = hintOf(error);
  return {
    exit: exitOf(error),
    line: oneLine(hint === '' ? error.detail : `${error.detail}; ${hint}`),
  };
}
