/**
 * Reads one segment's bytes as a sequence of whole batches, and tells a torn tail from corruption (F34).
 *
 * Pages that were not synced reach the disk in any order, or not at all. So bytes that are no batch mean nothing by
 * themselves, and a whole batch behind them proves nothing either. But each batch header says up to where the segment
 * had been synced before it was written: broken bytes below the highest such offset were once safely on disk, and have
 * been corrupted since. Broken bytes at or above it, and everything behind them, were never acknowledged: they are cut.
 */
import { crc32c } from '@node-rs/crc32';
import {
  alignUp,
  BATCH_HEADER_BYTES,
  findBatchMagic,
  readBatchHeader,
  type ScannedHeader,
  SEGMENT_HEADER_BYTES,
} from './record-codec.js';

export interface ScannedBatch {
  readonly kind: 'batch';
  readonly header: ScannedHeader;
  readonly end: number;
}

/** Corrupt: `[from, to)` was synced once and can't be read any more. */
export interface ScannedHole {
  readonly kind: 'hole';
  readonly from: number;
  readonly to: number;
}

export interface SegmentScan {
  readonly items: readonly (ScannedBatch | ScannedHole)[];
  /** Where the next batch belongs: behind the last one that counts. */
  readonly tail: number;
  /** The highest offset that is proven to have been synced. */
  readonly synced: number;
}

/**
 * `syncedAtLeast`: what is known from elsewhere to have been synced (a later segment's header); 'opening': the segment's
 * opening, however long it is. `salt` null: any. Throws `LogCorrupt` on a batch in a format this build does not know.
 */
export function scanSegment(
  bytes: Buffer,
  segment: number,
  salt: Buffer | null,
  syncedAtLeast: number | 'opening',
  name: string,
): SegmentScan {
  const found: ScannedBatch[] = [];
  let synced = syncedAtLeast === 'opening' ? 0 : syncedAtLeast;
  for (let at = SEGMENT_HEADER_BYTES; at >= 0 && at < bytes.length; ) {
    const header = readBatchHeader(bytes, at, segment, salt, name);
    if (header === null) {
      at = findBatchMagic(bytes, at + 8);
      continue;
    }
    synced = Math.max(synced, header.synced);
    const end = at + BATCH_HEADER_BYTES + header.payloadLength;
    // Only batches of the opening say that nothing is synced.
    if (syncedAtLeast === 'opening' && header.synced === 0) synced = Math.max(synced, end);
    if (payloadIsWhole(bytes, header, end)) {
      found.push({ kind: 'batch', header, end });
      at = end;
    } else {
      at = findBatchMagic(bytes, at + 8);
    }
  }
  return arrange(found, synced);
}

function payloadIsWhole(bytes: Buffer, header: ScannedHeader, end: number): boolean {
  if (end > bytes.length || end !== alignUp(end)) return false;
  return crc32c(bytes.subarray(header.offset + BATCH_HEADER_BYTES, end)) === header.payloadCrc;
}

/** Puts holes between batches that do not touch, up to the first gap that nothing proves to have been synced. */
function arrange(found: readonly ScannedBatch[], synced: number): SegmentScan {
  const items: (ScannedBatch | ScannedHole)[] = [];
  let tail = SEGMENT_HEADER_BYTES;
  for (const batch of found) {
    const start = batch.header.offset;
    if (start > tail && tail < synced) {
      const to = Math.min(start, synced);
      items.push({ kind: 'hole', from: tail, to });
      tail = to;
    }
    if (start > tail) return { items, tail, synced };
    items.push(batch);
    tail = batch.end;
  }
  if (tail < synced) {
    items.push({ kind: 'hole', from: tail, to: synced });
    tail = synced;
  }
  return { items, tail, synced };
}
