/** What callers see when the disk fails, fills up, is taken, or the process is killed. */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type LogStorage, openLogStorage } from '../../../src/raft/index.js';
import { entry, snapshotAt } from '../../contract/log-storage.contract.js';
import { SimDisk } from '../../sim/fakes/disk.js';
import { SimRandom } from '../../sim/fakes/random.js';
import { SimLog } from '../../sim/fakes/sim-log.js';
import { realTimeClock } from './real-time-clock.js';

const workerUrl = new URL('./worker-from-source.mjs', import.meta.url);

const create = (log: LogStorage) => log.append({ group: 1, hardState: null, snapshot: snapshotAt(0, 0), entries: [] });
const append = (log: LogStorage, at: number, bytes = 10) =>
  log.append({ group: 1, hardState: null, snapshot: null, entries: [entry(at, 1, 'x'.repeat(bytes))] });

describe('a disk that fails', () => {
  const newDisk = () => new SimDisk({ random: new SimRandom('failures') });
  const open = (disk: SimDisk) => new SimLog({ disk, clock: realTimeClock(), random: new SimRandom('log') });

  it('F33: a failed sync is final: what waits and what comes is rejected, nothing is tried again', async () => {
    const disk = newDisk();
    const log = open(disk);
    await create(log);
    const onFailure = vi.fn();
    log.onFailure(onFailure);
    disk.failNextSync(new Error('EIO: i/o error, fdatasync'));
    const flying = append(log, 1);
    const outcome = expect(flying).rejects.toThrow('EIO: i/o error, fdatasync');
    await new Promise((resolve) => setImmediate(resolve));
    const waiting = append(log, 2);
    await expect(waiting).rejects.toThrow('EIO: i/o error, fdatasync');
    await outcome;
    const syncs = disk.syncs;
    await expect(append(log, 3)).rejects.toThrow('EIO: i/o error, fdatasync');
    await expect(log.remove(1)).rejects.toThrow('EIO: i/o error, fdatasync');
    expect(onFailure).toHaveBeenCalledTimes(1);
    expect(onFailure).toHaveBeenCalledWith(expect.objectContaining({ message: 'EIO: i/o error, fdatasync' }));
    await log.close();
    expect(disk.syncs).toBe(syncs);
  });

  it('F25: at no moment is there no log, also not while one that was never used is made anew', async () => {
    const disk = newDisk();
    await open(disk).close();
    const without: string[] = [];
    for (const name of ['create', 'open', 'remove', 'syncDirectory'] as const) {
      const step = disk[name].bind(disk) as (...names: string[]) => never;
      disk[name] = ((...names: string[]) => {
        const result = step(...names);
        if (disk.list().length === 0) without.push(`${name} ${names}`);
        return result;
      }) as never;
    }
    for (const how of ['kill', 'crash'] as const) {
      disk[how]();
      const log = open(disk);
      expect(log.fresh).toBe(false);
      await log.close();
    }
    expect(without).toEqual([]);
  });

  it('F36: a full disk makes writes wait; they are durable, in order, once there is space', async () => {
    const disk = newDisk();
    const log = open(disk);
    await create(log);
    const onFailure = vi.fn();
    log.onFailure(onFailure);
    disk.limitTo(disk.usedBytes());
    const settled: number[] = [];
    const big = append(log, 1, 20_000).then(() => settled.push(1));
    await vi.waitFor(() => expect(log.full).toBe(true));
    const small = append(log, 2).then(() => settled.push(2));
    expect(settled).toEqual([]);
    disk.limitTo(Number.POSITIVE_INFINITY);
    await Promise.all([big, small]);
    expect(log.full).toBe(false);
    expect(settled).toEqual([1, 2]);
    expect(onFailure).not.toHaveBeenCalled();
    disk.crash();
    expect(
      open(disk)
        .recovered()
        .get(1)
        ?.entries.map((e) => e.data.length),
    ).toEqual([20_000, 10]);
  });

  it('F36: a power cut on a full disk loses nothing that was acknowledged', async () => {
    const disk = newDisk();
    const log = open(disk);
    await create(log);
    await append(log, 1);
    disk.limitTo(disk.usedBytes() + 700);
    void append(log, 2, 20_000);
    await vi.waitFor(() => expect(log.full).toBe(true));
    disk.crash();
    disk.limitTo(Number.POSITIVE_INFINITY);
    const found = open(disk).recovered().get(1);
    expect(found?.damaged).toBeNull();
    expect(found?.entries.length).toBe(1);
  });

  it('F36: closing a log that waits for space rejects what it could not keep', async () => {
    const disk = newDisk();
    const log = open(disk);
    await create(log);
    disk.limitTo(disk.usedBytes());
    const outcome = expect(append(log, 1, 20_000)).rejects.toMatchObject({ name: 'LogClosed' });
    await vi.waitFor(() => expect(log.full).toBe(true));
    await log.close();
    await outcome;
    expect(open(disk).recovered().get(1)?.entries).toEqual([]);
  });
});

describe('a log in a directory', () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'quorate-log-'));
  });

  afterEach(() => rm(directory, { recursive: true }));

  it('is locked: a second one is refused and told which directory, until the first one is closed', async () => {
    const log = await openLogStorage({ directory, workerUrl });
    const second = openLogStorage({ directory, workerUrl });
    await expect(second).rejects.toMatchObject({ name: 'LogLocked', message: expect.stringContaining(directory) });
    await log.close();
    const third = await openLogStorage({ directory, workerUrl });
    await third.close();
  });

  it('is locked though the lock`s own files are damaged: they hold nothing, and are made anew', async () => {
    const log = await openLogStorage({ directory, workerUrl });
    await create(log);
    await log.close();
    const lock = join(directory, 'lock');
    for (const name of await readdir(lock)) await writeFile(join(lock, name), 'rotten');
    const again = await openLogStorage({ directory, workerUrl });
    expect(again.recovered().size).toBe(1);
    await expect(openLogStorage({ directory, workerUrl })).rejects.toMatchObject({ name: 'LogLocked' });
    await again.close();
  });

  it('F33: an I/O error in the worker reaches everybody once', async () => {
    const log = await openLogStorage({ directory, workerUrl, segmentBytes: 8192 });
    const onFailure = vi.fn();
    log.onFailure(onFailure);
    await create(log);
    // Something is in the place where the next segment has to go.
    await writeFile(join(directory, '0000000002.wal'), 'not a segment');
    await append(log, 1, 4000);
    const outcome = expect(append(log, 2, 4000)).rejects.toMatchObject({ code: 'EEXIST' });
    await outcome;
    await expect(append(log, 3)).rejects.toMatchObject({ code: 'EEXIST' });
    expect(onFailure).toHaveBeenCalledTimes(1);
    await log.close();
    const again = await openLogStorage({ directory, workerUrl, segmentBytes: 8192 });
    expect(again.recovered().get(1)?.entries.length).toBe(1);
    await again.close();
  });

  it('says what is wrong when it can’t be opened, and leaves the directory free', async () => {
    const log = await openLogStorage({ directory, workerUrl });
    await create(log);
    await log.close();
    const [segment] = (await readdir(directory)).filter((name) => name.endsWith('.wal'));
    await writeFile(join(directory, '0000000002.wal'), '');
    await writeFile(join(directory, segment!), Buffer.alloc(4096));
    const broken = openLogStorage({ directory, workerUrl });
    await expect(broken).rejects.toMatchObject({ name: 'LogCorrupt', message: expect.stringContaining(directory) });
    await Promise.all((await readdir(directory)).filter((n) => n.endsWith('.wal')).map((n) => rm(join(directory, n))));
    const fresh = await openLogStorage({ directory, workerUrl });
    expect(fresh.recovered().size).toBe(0);
    await fresh.close();
  });

  it('F32: kill -9 leaves everything that was acknowledged, and no lock', async () => {
    const script = fileURLToPath(new URL('./hold-log.mts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', script, directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let acknowledged = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged = Number(line);
      if (acknowledged === 200) {
        await expect(openLogStorage({ directory, workerUrl })).rejects.toMatchObject({ name: 'LogLocked' });
        child.kill('SIGKILL');
      }
    }
    const log = await openLogStorage({ directory, workerUrl });
    const entries = log.recovered().get(1)?.entries ?? [];
    expect(acknowledged).toBeGreaterThanOrEqual(200);
    expect(entries.length).toBeGreaterThanOrEqual(acknowledged);
    expect(entries.every((e, i) => Buffer.from(e.data).toString() === `entry ${i + 1}`)).toBe(true);
    await log.close();
  });
});
