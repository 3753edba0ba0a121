/**
 * How a segment begins: its header, and the state of every group in two copies. Until all of it is synced nothing else
 * goes into the segment: a file that is longer than its opening has been in use.
 */
import { BatchEncoder } from './batch-encoder.js';
import type { GroupTable } from './group-table.js';
import {
  encodeSegmentHeader,
  finishRecord,
  RecordType,
  recordsOf,
  type SegmentHeader,
  sealBatch,
} from './record-codec.js';

/** Of groups' states, in one batch. */
const OPENING_BATCH_BYTES = 1024 * 1024;
const COPIES = 2;

export function encodeOpening(table: GroupTable, header: SegmentHeader): Buffer {
  const parts: Buffer[] = [encodeSegmentHeader(header)];
  let offset = parts[0]!.length;
  const encoder = new BatchEncoder();
  const flush = (): void => {
    const taken = encoder.take();
    if (taken === null) return;
    const batch = Buffer.from(taken);
    numberStates(batch, table);
    const { salt, segment } = header;
    sealBatch(batch, { salt, segment, offset, synced: 0, census: table.census });
    parts.push(batch);
    offset += batch.length;
  };
  for (let copy = 0; copy < COPIES; copy++) {
    for (const state of table.groups.values()) {
      encoder.state(state.group, state);
      if (encoder.bytes >= OPENING_BATCH_BYTES) flush();
    }
    flush();
  }
  return Buffer.concat(parts);
}

function numberStates(batch: Buffer, table: GroupTable): void {
  for (const record of recordsOf(batch)) {
    const state = table.groups.get(record.group);
    if (record.type !== RecordType.State || state === undefined)
      throw new Error('invariant: an opening holds states only');
    finishRecord(batch, record.at, state.seq);
  }
}
