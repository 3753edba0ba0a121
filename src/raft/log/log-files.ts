/**
 * The one door from the log to the disk: small, synchronous, flat. Production goes through `node-log-files.ts`, the
 * simulator through a disk that forgets what was not synced.
 */
export interface LogFile {
  sizeBytes(): number;
  /** Up to `length` bytes from `offset`; fewer at the end of the file. */
  read(offset: number, length: number): Buffer;
  /** All of `buffers`, one behind the other, or throws; an error with code ENOSPC or EDQUOT may leave a part behind. */
  write(buffers: readonly Uint8Array[], offset: number): void;
  truncate(length: number): void;
  /** Contents and length survive a power cut when it returns (fdatasync). */
  sync(): void;
  close(): void;
}

export interface LogFiles {
  /** For error messages. */
  readonly directory: string;
  list(): string[];
  /** Fails if it exists. Survives a power cut only after `syncDirectory`. */
  create(name: string): LogFile;
  open(name: string): LogFile;
  remove(name: string): void;
  syncDirectory(): void;
}

/** The one I/O error from which a log comes back by itself (F36). */
export function isDiskFull(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return code === 'ENOSPC' || code === 'EDQUOT';
}
