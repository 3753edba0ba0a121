/**
 * The log's worker from its TypeScript source, on a disk with the troubles that `troubles.json` in its directory names (a
 * worker's URL can't: it loses its query): `sync_ms` a sync takes at least that long; `capacity_bytes` writes that would make
 * all segments longer than this fail with ENOSPC.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { workerData } from 'node:worker_threads';

const { sync_ms, capacity_bytes } = JSON.parse(fs.readFileSync(join(workerData.directory, 'troubles.json'), 'utf8'));

const { fdatasyncSync, writeSync, writevSync } = fs;
const never = new Int32Array(new SharedArrayBuffer(4));

fs.fdatasyncSync = (fd) => {
  Atomics.wait(never, 0, 0, sync_ms);
  fdatasyncSync(fd);
};

function usedBytes() {
  const segments = fs.readdirSync(workerData.directory).filter((name) => name.endsWith('.wal'));
  return segments.reduce((sum, name) => sum + fs.statSync(join(workerData.directory, name)).size, 0);
}

function checkRoom(fd, length, position) {
  const growth = Math.max(0, position + length - fs.fstatSync(fd).size);
  if (growth > 0 && usedBytes() + growth > capacity_bytes) {
    throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  }
}

fs.writeSync = (fd, bytes, offset, length, position) => {
  checkRoom(fd, length, position);
  return writeSync(fd, bytes, offset, length, position);
};
fs.writevSync = (fd, buffers, position) => {
  checkRoom(
    fd,
    buffers.reduce((sum, buffer) => sum + buffer.length, 0),
    position,
  );
  return writevSync(fd, buffers, position);
};
syncBuiltinESMExports();

await import('./worker-from-source.mjs');
