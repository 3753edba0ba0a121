/** The log's files on a real file system. The only file of this room that imports node:fs. */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  unlinkSync,
  writeSync,
  writevSync,
} from 'node:fs';
import { join } from 'node:path';
import type { LogFile, LogFiles } from './log-files.js';

class NodeLogFile implements LogFile {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  sizeBytes(): number {
    return fstatSync(this.#fd).size;
  }

  read(offset: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafeSlow(length);
    let have = 0;
    while (have < length) {
      const got = readSync(this.#fd, bytes, have, length - have, offset + have);
      if (got === 0) break;
      have += got;
    }
    return have === length ? bytes : bytes.subarray(0, have);
  }

  write(buffers: readonly Uint8Array[], offset: number): void {
    if (buffers.length === 1) {
      this.#writeOne(buffers[0]!, 0, offset);
      return;
    }
    let bytes = 0;
    for (const buffer of buffers) bytes += buffer.length;
    const written = writevSync(this.#fd, [...buffers], offset);
    if (written < bytes) this.#finish(buffers, written, offset);
  }

  /** A write may stop short without an error, and says why only when asked for the rest. */
  #finish(buffers: readonly Uint8Array[], written: number, offset: number): void {
    let start = 0;
    for (const buffer of buffers) {
      const skip = Math.min(buffer.length, Math.max(0, written - start));
      this.#writeOne(buffer, skip, offset + start + skip);
      start += buffer.length;
    }
  }

  #writeOne(buffer: Uint8Array, from: number, offset: number): void {
    for (let at = from; at < buffer.length; ) {
      at += writeSync(this.#fd, buffer, at, buffer.length - at, offset + at - from);
    }
  }

  truncate(length: number): void {
    ftruncateSync(this.#fd, length);
  }

  sync(): void {
    fdatasyncSync(this.#fd);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

export class NodeLogFiles implements LogFiles {
  readonly directory: string;

  /** Creates the directory if need be. */
  constructor(directory: string) {
    this.directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  list(): string[] {
    return readdirSync(this.directory);
  }

  create(name: string): LogFile {
    return new NodeLogFile(openSync(this.#path(name), constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o644));
  }

  open(name: string): LogFile {
    return new NodeLogFile(openSync(this.#path(name), constants.O_RDWR));
  }

  remove(name: string): void {
    unlinkSync(this.#path(name));
  }

  syncDirectory(): void {
    const fd = openSync(this.directory, constants.O_RDONLY);
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  #path(name: string): string {
    return join(this.directory, name);
  }
}
