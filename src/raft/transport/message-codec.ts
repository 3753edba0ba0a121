/**
 * Raft messages of many groups in one frame, in a layout written by hand: this is the hottest codec of the store, once per
 * follower and batch. All integers are little-endian; u53 is a u64 whose value is a safe integer.
 *
 *   frame    = version:u8(1) message*
 *   message  = group:u32 type:u8 flags:u8 from:u53 to:u53 term:u53 index:u53 logTerm:u53 commit:u53 hint:u53 context:u53
 *              [entries] [snapshot]                         flags: 1 reject, 2 snapshot follows, 4 entries follow
 *   entries  = firstIndex:u53 count:u32 entry*              indices are contiguous, so only the first one travels
 *   entry    = term:u53 kind:u8 length:u32 byte*length
 *   snapshot = index:u53 term:u53 autoLeave:u8 voters outgoing learners learnersNext
 *   each list of members = count:u16 (id:u53 length:u16 utf8*length)*
 *
 * The end of the frame ends the last message. Integrity (CRC32C) is the business of the frame that carries this one.
 */
import {
  type ConfState,
  type Entry,
  EntryKind,
  type GroupId,
  type Index,
  type Member,
  type Message,
  MessageType,
  NO_ENTRIES,
  type SnapshotMeta,
  type Term,
} from '../core/index.js';
import { MalformedFrame } from './malformed-frame.js';

export const MESSAGE_FORMAT_VERSION = 1;

/** Frames are split above this many bytes, so that one slow frame never holds up the messages of other groups for long. */
export const MAX_BATCH_FRAME_BYTES = 1024 * 1024;

export interface GroupMessage {
  readonly group: GroupId;
  readonly message: Message;
}

const FLAG_REJECT = 1;
const FLAG_SNAPSHOT = 2;
const FLAG_ENTRIES = 4;

const MESSAGE_HEAD_BYTES = 4 + 1 + 1 + 8 * 8;
const ENTRIES_HEAD_BYTES = 8 + 4;
const ENTRY_HEAD_BYTES = 8 + 1 + 4;
const SNAPSHOT_HEAD_BYTES = 8 + 8 + 1;
const MEMBER_HEAD_BYTES = 8 + 2;
const U32 = 0x1_0000_0000;
const HIGH_MAX = 0x1f_ffff;
const TYPE_MAX = MessageType.TimeoutNow;
const KIND_MAX = EntryKind.Noop;

/**
 * Encodes in order. A frame exceeds `maxFrameBytes` only if it holds one message that does so alone. Frames are freshly
 * allocated and belong to the caller.
 */
export function encodeMessages(
  batch: readonly GroupMessage[],
  maxFrameBytes: number = MAX_BATCH_FRAME_BYTES,
): Uint8Array[] {
  const frames: Uint8Array[] = [];
  let first = 0;
  let size = 1;
  for (let i = 0; i < batch.length; i++) {
    const bytes = messageSize(batch[i]!.message);
    if (i > first && size + bytes > maxFrameBytes) {
      frames.push(encodeFrame(batch, first, i, size));
      first = i;
      size = 1;
    }
    size += bytes;
  }
  if (first < batch.length) frames.push(encodeFrame(batch, first, batch.length, size));
  return frames;
}

/** Bytes that the message takes within a frame. */
export function messageSize(message: Message): number {
  let size = MESSAGE_HEAD_BYTES;
  const entries = message.entries;
  if (entries.length > 0) {
    size += ENTRIES_HEAD_BYTES + ENTRY_HEAD_BYTES * entries.length;
    for (let i = 0; i < entries.length; i++) size += entries[i]!.data.length;
  }
  if (message.snapshot !== null) size += snapshotSize(message.snapshot);
  return size;
}

function snapshotSize(meta: SnapshotMeta): number {
  const { voters, outgoing, learners, learnersNext } = meta.conf;
  return (
    SNAPSHOT_HEAD_BYTES +
    membersSize(voters) +
    membersSize(outgoing) +
    membersSize(learners) +
    membersSize(learnersNext)
  );
}

function membersSize(members: readonly Member[]): number {
  let size = 2;
  for (const member of members) size += MEMBER_HEAD_BYTES + Buffer.byteLength(member.node);
  return size;
}

function encodeFrame(batch: readonly GroupMessage[], from: number, to: number, size: number): Uint8Array {
  const writer = new FrameWriter(size);
  writer.u8(MESSAGE_FORMAT_VERSION);
  for (let i = from; i < to; i++) writeMessage(writer, batch[i]!.group, batch[i]!.message);
  if (writer.at !== size) throw new Error(`invariant: frame of ${size} bytes was filled with ${writer.at}`);
  return writer.bytes;
}

function writeMessage(w: FrameWriter, group: GroupId, m: Message): void {
  w.u32(group);
  w.u8(m.type);
  w.u8(
    (m.reject ? FLAG_REJECT : 0) |
      (m.snapshot !== null ? FLAG_SNAPSHOT : 0) |
      (m.entries.length > 0 ? FLAG_ENTRIES : 0),
  );
  w.u53(m.from);
  w.u53(m.to);
  w.u53(m.term);
  w.u53(m.index);
  w.u53(m.logTerm);
  w.u53(m.commit);
  w.u53(m.hint);
  w.u53(m.context);
  if (m.entries.length > 0) writeEntries(w, m.entries);
  if (m.snapshot !== null) writeSnapshot(w, m.snapshot);
}

function writeEntries(w: FrameWriter, entries: readonly Entry[]): void {
  const first = entries[0]!.index;
  w.u53(first);
  w.u32(entries.length);
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    if (entry.index !== first + i) throw new Error('invariant: entries of one message are contiguous');
    w.u53(entry.term);
    w.u8(entry.kind);
    w.u32(entry.data.length);
    w.raw(entry.data);
  }
}

function writeSnapshot(w: FrameWriter, meta: SnapshotMeta): void {
  w.u53(meta.index);
  w.u53(meta.term);
  w.u8(meta.conf.autoLeave ? 1 : 0);
  writeMembers(w, meta.conf.voters);
  writeMembers(w, meta.conf.outgoing);
  writeMembers(w, meta.conf.learners);
  writeMembers(w, meta.conf.learnersNext);
}

function writeMembers(w: FrameWriter, members: readonly Member[]): void {
  w.u16(members.length);
  for (const member of members) {
    const name = Buffer.from(member.node);
    w.u53(member.id);
    w.u16(name.length);
    w.raw(name);
  }
}

/** Fills one buffer whose size is known beforehand. Values out of range are a caller's bug, not an outcome. */
class FrameWriter {
  readonly bytes: Buffer;
  readonly #view: DataView;
  at = 0;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafe(size);
    this.#view = new DataView(this.bytes.buffer, this.bytes.byteOffset, size);
  }

  u8(value: number): void {
    this.bytes[this.at++] = value;
  }

  u16(value: number): void {
    if (value > 0xffff) throw new Error(`invariant: ${value} does not fit in 16 bits`);
    this.#view.setUint16(this.at, value, true);
    this.at += 2;
  }

  u32(value: number): void {
    if (value >>> 0 !== value) throw new Error(`invariant: ${value} does not fit in 32 bits`);
    this.#view.setUint32(this.at, value, true);
    this.at += 4;
  }

  u53(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new Error(`invariant: ${value} is not a whole number`);
    const low = value >>> 0;
    this.#view.setUint32(this.at, low, true);
    this.#view.setUint32(this.at + 4, (value - low) / U32, true);
    this.at += 8;
  }

  raw(value: Uint8Array): void {
    this.bytes.set(value, this.at);
    this.at += value.length;
  }
}

/**
 * Calls `deliver` for each message in order. Data of entries are views into `frame`.
 *
 * Throws `MalformedFrame` for any bytes that `encodeMessages` does not produce; messages before the broken one have been
 * delivered by then. Allocates in proportion to the frame's length, whatever the counts in it claim.
 */
export function decodeMessages(frame: Buffer, deliver: (group: GroupId, message: Message) => void): void {
  const reader = new FrameReader(frame);
  const version = reader.u8();
  if (version !== MESSAGE_FORMAT_VERSION) throw new MalformedFrame(`unknown message format version ${version}`);
  while (reader.at < frame.length) {
    const group = reader.u32();
    deliver(group, readMessage(reader));
  }
}

function readMessage(r: FrameReader): Message {
  const type = r.u8();
  if (type < 1 || type > TYPE_MAX) throw new MalformedFrame(`unknown message type ${type}`);
  const flags = r.u8();
  if (flags > 7) throw new MalformedFrame(`unknown message flags ${flags}`);
  return {
    type: type as MessageType,
    from: r.u53(),
    to: r.u53(),
    term: r.u53() as Term,
    index: r.u53() as Index,
    logTerm: r.u53() as Term,
    commit: r.u53() as Index,
    hint: r.u53() as Index,
    context: r.u53(),
    reject: (flags & FLAG_REJECT) !== 0,
    entries: (flags & FLAG_ENTRIES) !== 0 ? readEntries(r) : NO_ENTRIES,
    snapshot: (flags & FLAG_SNAPSHOT) !== 0 ? readSnapshot(r) : null,
  };
}

function readEntries(r: FrameReader): readonly Entry[] {
  const first = r.u53();
  const count = r.u32();
  if (count === 0) throw new MalformedFrame('an announced list of entries is empty');
  r.need(count * ENTRY_HEAD_BYTES);
  if (first + count > Number.MAX_SAFE_INTEGER) throw new MalformedFrame('entry indices leave the safe range');
  const entries = new Array<Entry>(count);
  for (let i = 0; i < count; i++) {
    const term = r.u53() as Term;
    const kind = r.u8();
    if (kind > KIND_MAX) throw new MalformedFrame(`unknown entry kind ${kind}`);
    entries[i] = { term, index: (first + i) as Index, kind: kind as EntryKind, data: r.raw(r.u32()) };
  }
  return entries;
}

function readSnapshot(r: FrameReader): SnapshotMeta {
  const index = r.u53() as Index;
  const term = r.u53() as Term;
  const autoLeave = r.u8();
  if (autoLeave > 1) throw new MalformedFrame(`a flag is ${autoLeave}`);
  const conf: ConfState = {
    voters: readMembers(r),
    outgoing: readMembers(r),
    learners: readMembers(r),
    learnersNext: readMembers(r),
    autoLeave: autoLeave === 1,
  };
  return { index, term, conf };
}

function readMembers(r: FrameReader): readonly Member[] {
  const count = r.u16();
  r.need(count * MEMBER_HEAD_BYTES);
  const members: Member[] = [];
  for (let i = 0; i < count; i++) {
    const id = r.u53();
    members.push({ id, node: r.raw(r.u16()).toString('utf8') });
  }
  return members;
}

/** Every read is checked against the end of the frame. */
class FrameReader {
  readonly #frame: Buffer;
  readonly #view: DataView;
  at = 0;

  constructor(frame: Buffer) {
    this.#frame = frame;
    this.#view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  }

  need(bytes: number): void {
    if (bytes > this.#frame.length - this.at) {
      throw new MalformedFrame(`${bytes} bytes wanted at ${this.at} of ${this.#frame.length}`);
    }
  }

  u8(): number {
    this.need(1);
    return this.#frame[this.at++]!;
  }

  u16(): number {
    this.need(2);
    const value = this.#view.getUint16(this.at, true);
    this.at += 2;
    return value;
  }

  u32(): number {
    this.need(4);
    const value = this.#view.getUint32(this.at, true);
    this.at += 4;
    return value;
  }

  u53(): number {
    this.need(8);
    const high = this.#view.getUint32(this.at + 4, true);
    if (high > HIGH_MAX) throw new MalformedFrame(`a number at ${this.at} is beyond 2^53`);
    const value = high * U32 + this.#view.getUint32(this.at, true);
    this.at += 8;
    return value;
  }

  raw(length: number): Buffer {
    this.need(length);
    const from = this.at;
    this.at = from + length;
    return this.#frame.subarray(from, this.at);
  }
}
