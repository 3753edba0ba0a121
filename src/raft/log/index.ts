/** The write-ahead log that all replicas of a node share. */
export { type InProcessLogOptions, type LogStep, openInProcessLog } from './in-process-log-storage.js';
export { LogClosedError, LogCorruptError, LogFullError, LogLockedError } from './log-error.js';
export type { LogFile, LogFiles } from './log-files.js';
export { type OpenLogOptions, openLogStorage } from './worker-log-storage.js';
