/**
 * The thread that owns the log of a node: takes what lies in the ring, writes it, syncs it, says so, and sleeps when
 * nothing is left. All I/O is synchronous: libuv's threads are shared with LevelDB, whose compactions would otherwise
 * stop every commit.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { asError } from './log-error.js';
import { NodeLogFiles } from './node-log-files.js';
import { SegmentedLog, type SegmentedLogOptions } from './segmented-log.js';
import { type Frame, FrameKind, RingReader, SharedControl } from './shared-ring.js';
import type { StoredGroup } from './stored-group.js';

export interface LogWorkerData extends Omit<SegmentedLogOptions, 'salt'> {
  readonly directory: string;
  readonly salt: Uint8Array;
  readonly control: SharedArrayBuffer;
  readonly ring: SharedArrayBuffer;
}

/** To the main thread. null: look at the shared control words, something there has changed. */
export type LogWorkerMessage =
  | null
  | { readonly kind: 'opened'; readonly groups: StoredGroup[]; readonly fresh: boolean }
  | { readonly kind: 'failed'; readonly name: string; readonly message: string; readonly code: string | null }
  | { readonly kind: 'closed' };

/** Written and synced at once; a single bigger batch goes whole. */
const SYNC_BYTES_MAX = 4 * 1024 * 1024;
const MAINTENANCE_BYTES = 256 * 1024;
const REST_AFTER_MS = 20;
const RETRY_FULL_MS = 100;
const NO_FRAMES: readonly Frame[] = [];

function main(): void {
  const port = parentPort;
  if (port === null) throw new Error('invariant: the log worker runs in a worker thread only');
  const tell = (message: LogWorkerMessage): void => port.postMessage(message);
  try {
    const data = workerData as LogWorkerData;
    const control = new SharedControl(data.control);
    const receiveRing = (): SharedArrayBuffer => {
      const received = receiveMessageOnPort(port) as { message: SharedArrayBuffer } | undefined;
      if (received === undefined) throw new Error('invariant: a ring was announced and not sent');
      return received.message;
    };
    const ring = new RingReader(control, data.ring, receiveRing);
    const { log, recovered, fresh } = SegmentedLog.open(new NodeLogFiles(data.directory), {
      segmentBytes: data.segmentBytes,
      zeroAheadBytes: data.zeroAheadBytes,
      salt: Buffer.from(data.salt),
    });
    shareStats(log, control);
    const bodies = recovered.flatMap((group) => group.runs.map((run) => run.body.buffer as ArrayBuffer));
    port.postMessage({ kind: 'opened', groups: recovered, fresh } satisfies LogWorkerMessage, bodies);
    try {
      serve(log, control, ring, tell);
    } catch (error) {
      log.abandon();
      throw error;
    }
    log.close();
    tell({ kind: 'closed' });
  } catch (thrown) {
    const error = asError(thrown);
    const code = (error as { code?: unknown }).code;
    tell({ kind: 'failed', name: error.name, message: error.message, code: typeof code === 'string' ? code : null });
  }
}

function serve(log: SegmentedLog, control: SharedControl, ring: RingReader, tell: (message: null) => void): void {
  for (let closing = false; !closing; ) {
    const frames = ring.take(SYNC_BYTES_MAX);
    if (frames.length === 0) {
      log.sync();
      if (log.maintain(MAINTENANCE_BYTES)) shareStats(log, control);
      else sleep(log, control, ring.position);
      continue;
    }
    const batches = batchesOf(frames);
    const bytes = batches.reduce((sum, batch) => sum + batch.length, 0);
    let meanwhile: readonly Frame[] | null = NO_FRAMES;
    if (bytes > 0) {
      if (log.append(batches) === 'full') meanwhile = waitForSpace(log, control, ring, tell);
      if (meanwhile === null) return;
      log.sync();
    }
    closing = isClosing(frames) || isClosing(meanwhile);
    shareStats(log, control);
    ring.release(batches.length + batchesOf(meanwhile).length);
    tell(null);
    // Under load the ring is never empty. A step as big as what was just written keeps up with any load; what it copies is
    // synced along with what comes next.
    log.maintain(Math.min(SYNC_BYTES_MAX, Math.max(MAINTENANCE_BYTES, bytes)));
  }
}

const batchesOf = (frames: readonly Frame[]): Buffer[] =>
  frames.filter((frame) => frame.kind === FrameKind.Batch).map((frame) => frame.bytes);

function sleep(log: SegmentedLog, control: SharedControl, seen: number): void {
  if (control.writtenWithin(seen, REST_AFTER_MS)) return;
  log.rest();
  control.writtenWithin(seen, Number.POSITIVE_INFINITY);
}

const isClosing = (frames: readonly Frame[]): boolean => frames.some((frame) => frame.kind === FrameKind.Close);

/**
 * The frames that came meanwhile and are written, too, as one of them may be the compaction that makes room. Their bytes are
 * gone. null: the log was closed meanwhile.
 */
function waitForSpace(
  log: SegmentedLog,
  control: SharedControl,
  ring: RingReader,
  tell: (message: null) => void,
): Frame[] | null {
  const meanwhile: Frame[] = [];
  control.full = true;
  for (let result = 'full'; result === 'full'; ) {
    // The log has its own copy, and what comes next may not fit into the ring beside them.
    ring.release(0);
    tell(null);
    if (control.stoppedWithin(RETRY_FULL_MS)) return null;
    const more = ring.take(SYNC_BYTES_MAX);
    meanwhile.push(...more);
    result = log.append(batchesOf(more));
    shareStats(log, control);
  }
  control.full = false;
  return meanwhile;
}

function shareStats(log: SegmentedLog, control: SharedControl): void {
  const { segments, bytes, syncs, records } = log.stats();
  control.writeStats([segments, bytes, syncs, records]);
}

main();
