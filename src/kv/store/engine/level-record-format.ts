/**
 * LevelDB's record format, used by its logs and by its MANIFEST (doc/log_format.md of LevelDB).
 *
 *   file     := block*                      blocks of 32 KiB, the last one may be shorter
 *   block    := record* trailer?            trailer: fewer than 7 bytes at the end of a block, zeros
 *   record   := crc    u32le                CRC-32C of type and data, masked: rotate right by 15, add 0xa282ead8
 *               length u16le                of data
 *               type   u8                   1 FULL, 2 FIRST, 3 MIDDLE, 4 LAST; 0 is preallocated space
 *               data
 *
 * A logical record is one FULL, or FIRST MIDDLE* LAST over several blocks.
 */
import { crc32c } from '@node-rs/crc32';

const BLOCK_BYTES = 32 * 1024;
const HEADER_BYTES = 7;
const CRC_MASK_DELTA = 0xa282ead8;

const FULL = 1;
const FIRST = 2;
const MIDDLE = 3;
const LAST = 4;

/** LevelDB stores no CRC plainly, since a CRC over data that embeds CRCs is weak. */
export function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + CRC_MASK_DELTA) >>> 0;
}

type Fragment =
  | { readonly kind: 'fragment'; readonly type: number; readonly data: Buffer; readonly end: number }
  | { readonly kind: 'end' }
  | { readonly kind: 'broken'; readonly reason: string };

/** Where the record after this offset has its header: not in the trailer of a block. */
function headerAt(offset: number): number {
  const left = BLOCK_BYTES - (offset % BLOCK_BYTES);
  return left < HEADER_BYTES ? offset + left : offset;
}

function readFragment(file: Buffer, from: number): Fragment {
  const at = headerAt(from);
  if (at >= file.length) return { kind: 'end' };
  if (file.length - at < HEADER_BYTES) return { kind: 'broken', reason: 'the file ends within a record header' };
  const crc = file.readUInt32LE(at);
  const length = file.readUInt16LE(at + 4);
  const type = file[at + 6]!;
  const end = at + HEADER_BYTES + length;
  if (type < FULL || type > LAST) return { kind: 'broken', reason: `there is no record type ${type}` };
  if ((at % BLOCK_BYTES) + HEADER_BYTES + length > BLOCK_BYTES) {
    return { kind: 'broken', reason: 'a record runs over the end of its block' };
  }
  if (end > file.length) return { kind: 'broken', reason: 'the file ends within a record' };
  // Type and data lie side by side, in the order in which the CRC takes them.
  if (maskedCrc(file.subarray(at + 6, end)) !== crc) return { kind: 'broken', reason: 'a record fails its CRC' };
  return { kind: 'fragment', type, data: file.subarray(at + HEADER_BYTES, end), end };
}

export interface RecordWalk {
  /** Offset after the last whole logical record that `visit` accepted. */
  readonly end: number;
  /** Why the walk stopped before the end of the file, or null. */
  readonly broken: string | null;
}

/**
 * Hands every logical record to `visit`, in order, until the first that is not whole or that `visit` refuses with a
 * reason. Records may be views into `file`.
 */
export function walkRecords(file: Buffer, visit: (record: Buffer) => string | null): RecordWalk {
  let end = 0;
  let at = 0;
  let parts: Buffer[] | null = null;
  for (;;) {
    const next = readFragment(file, at);
    if (next.kind === 'broken') return { end, broken: next.reason };
    if (next.kind === 'end') return { end, broken: parts === null ? null : 'the file ends between parts of a record' };
    at = next.end;
    const starts = next.type === FULL || next.type === FIRST;
    if (starts === (parts !== null)) return { end, broken: 'parts of a record are missing' };
    if (next.type === FIRST) parts = [next.data];
    else if (next.type === MIDDLE) parts!.push(next.data);
    if (next.type === FIRST || next.type === MIDDLE) continue;
    const record: Buffer = next.type === FULL ? next.data : Buffer.concat([...parts!, next.data]);
    parts = null;
    const refusal = visit(record);
    if (refusal !== null) return { end, broken: refusal };
    end = at;
  }
}

/** Whether a record begins anywhere behind the header at `brokenAt`: what is broken there then is not merely the end of the file. */
export function recordBeginsBehind(file: Buffer, brokenAt: number): boolean {
  for (let at = headerAt(brokenAt) + 1; at + HEADER_BYTES <= file.length; at++) {
    const fragment = readFragment(file, at);
    if (fragment.kind === 'fragment' && (fragment.type === FULL || fragment.type === FIRST)) return true;
  }
  return false;
}
