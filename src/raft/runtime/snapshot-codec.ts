/**
 * Frames of a snapshot stream (channel `Snapshot`). A stream is `begin`, `rows`…, `end`, numbered from 0; the receiver
 * acknowledges the highest number up to which it has everything, after it has written it.
 *
 * frame := version:u8(1) msgpack(SnapshotFrame as array)
 */
import { Packr } from 'msgpackr';
import type { ConfState, GroupId, Index, ReplicaId, Term } from '../core/index.js';

const VERSION = 1;
/** How many frames a sender may be ahead of the acknowledgements. */
export const WINDOW_FRAMES = 4;
const packr = new Packr({ useRecords: false, moreTypes: false });

export interface FrameHeader {
  readonly group: GroupId;
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  /** Unique to one attempt of one sender. */
  readonly stream: number;
  readonly seq: number;
}

export type SnapshotRow = readonly [key: Buffer, value: Buffer];

export type SnapshotFrame = FrameHeader &
  (
    | {
        readonly kind: 'begin';
        readonly index: Index;
        readonly term: Term;
        readonly conf: ConfState;
        readonly leaderTerm: Term;
      }
    | { readonly kind: 'rows'; readonly rows: readonly SnapshotRow[] }
    | { readonly kind: 'end'; readonly rowCount: number; readonly crc: number }
    | { readonly kind: 'ack' }
    | { readonly kind: 'refuse'; readonly reason: string }
  );

export function encodeSnapshotFrame(frame: SnapshotFrame): Buffer {
  const body = packr.pack(frame);
  const bytes = Buffer.allocUnsafe(1 + body.length);
  bytes[0] = VERSION;
  body.copy(bytes, 1);
  return bytes;
}

/** null for bytes that are no frame of this version. */
export function decodeSnapshotFrame(bytes: Buffer): SnapshotFrame | null {
  if (bytes.length < 2 || bytes[0] !== VERSION) return null;
  let value: unknown;
  try {
    value = packr.unpack(bytes.subarray(1));
  } catch {
    return null;
  }
  return isFrame(value) ? value : null;
}

const isCount = (value: unknown): boolean => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

function isFrame(value: unknown): value is SnapshotFrame {
  if (typeof value !== 'object' || value === null) return false;
  const f = value as Record<string, unknown>;
  if (![f['group'], f['from'], f['to'], f['stream'], f['seq']].every(isCount)) return false;
  switch (f['kind']) {
    case 'begin':
      return isCount(f['index']) && isCount(f['term']) && isCount(f['leaderTerm']) && isConf(f['conf']);
    case 'rows':
      return Array.isArray(f['rows']) && f['rows'].every(isRow);
    case 'end':
      return isCount(f['rowCount']) && isCount(f['crc']);
    case 'ack':
      return true;
    case 'refuse':
      return typeof f['reason'] === 'string';
    default:
      return false;
  }
}

const isRow = (row: unknown): boolean =>
  Array.isArray(row) && row.length === 2 && Buffer.isBuffer(row[0]) && row[0].length > 0 && Buffer.isBuffer(row[1]);

function isConf(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const conf = value as Record<string, unknown>;
  const lists = [conf['voters'], conf['outgoing'], conf['learners'], conf['learnersNext']];
  return typeof conf['autoLeave'] === 'boolean' && lists.every((list) => Array.isArray(list) && list.every(isMember));
}

function isMember(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const member = value as Record<string, unknown>;
  return isCount(member['id']) && typeof member['node'] === 'string';
}
