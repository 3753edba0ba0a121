/** What a caller of the log may have to tell apart. */

/** The bytes on disk cannot be what this log wrote, beyond what marking groups as damaged can express. */
export class LogCorruptError extends Error {
  override readonly name = 'LogCorrupt';
}

/** The log was closed (or has never become usable), so this write will not become durable. */
export class LogClosedError extends Error {
  override readonly name = 'LogClosed';
}

/** Another process, or another log of this process, has the directory. */
export class LogLockedError extends Error {
  override readonly name = 'LogLocked';
}

/** There is no room for what opening the log has to write. Nothing is wrong with what is there: free space and try again. */
export class LogFullError extends Error {
  override readonly name = 'LogFull';
}

export const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
