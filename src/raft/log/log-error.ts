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

export const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
