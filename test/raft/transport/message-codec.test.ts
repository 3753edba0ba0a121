/** The codec of Raft messages: what goes in comes out, and nothing that comes in can hurt. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Message, MessageType, NO_ENTRIES } from '../../../src/raft/core/index.js';
import {
  decodeMessages,
  encodeMessages,
  type GroupMessage,
  MalformedFrame,
  messageSize,
} from '../../../src/raft/transport/index.js';
import { groupMessage } from './arbitrary-message.js';

const SEED = 20240917;

function decodeAll(frames: readonly Uint8Array[]): GroupMessage[] {
  const out: GroupMessage[] = [];
  for (const frame of frames) decodeMessages(Buffer.from(frame), (group, message) => out.push({ group, message }));
  return out;
}

function heartbeat(over: Partial<Message> = {}): Message {
  return {
    type: MessageType.Heartbeat,
    from: 1,
    to: 2,
    term: 3 as Message['term'],
    index: 0 as Message['index'],
    logTerm: 0 as Message['term'],
    commit: 9 as Message['index'],
    entries: NO_ENTRIES,
    reject: false,
    hint: 0 as Message['index'],
    context: 0,
    snapshot: null,
    ...over,
  };
}

describe('message codec', () => {
  it('gives back what was encoded, in order, and splits only between messages', () => {
    fc.assert(
      fc.property(fc.array(groupMessage, { maxLength: 12 }), fc.integer({ min: 1, max: 4000 }), (batch, limit) => {
        const frames = encodeMessages(batch, limit);
        expect(decodeAll(frames)).toEqual(batch);
        for (const frame of frames) {
          if (frame.length > limit) expect(decodeAll([frame])).toHaveLength(1);
        }
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  it('says beforehand how many bytes a message takes', () => {
    fc.assert(
      fc.property(groupMessage, (one) => {
        expect(encodeMessages([one])[0]!.length).toBe(1 + messageSize(one.message));
      }),
      { seed: SEED },
    );
  });

  it('makes no frame of no messages', () => {
    expect(encodeMessages([])).toEqual([]);
  });

  it('fills a frame up to the limit before it opens the next', () => {
    const one = { group: 5, message: heartbeat() };
    const size = messageSize(one.message);
    const frames = encodeMessages([one, one, one, one, one], 1 + 2 * size);
    expect(frames.map((f) => f.length)).toEqual([1 + 2 * size, 1 + 2 * size, 1 + size]);
  });

  it('hands out entry data as views into the frame', () => {
    const data = Buffer.alloc(150, 7);
    const message = heartbeat({
      type: MessageType.Append,
      entries: [{ term: 1 as Message['term'], index: 1 as Message['index'], kind: 0, data }],
    });
    const frame = Buffer.from(encodeMessages([{ group: 0, message }])[0]!);
    decodeMessages(frame, (_group, got) => expect(got.entries[0]!.data.buffer).toBe(frame.buffer));
  });

  it('reads heartbeats of versions that do not tell what is committed at the leader: the layout is the same', () => {
    const u53 = (value: number): string => `${value.toString(16).padStart(2, '0')}${'00'.repeat(7)}`;
    const heartbeatBytes = (bound: number): string =>
      ['01', '05000000', '0700', u53(1), u53(2), u53(3), u53(bound), u53(0), u53(9), u53(0), u53(0)].join('');
    const before = Buffer.from(heartbeatBytes(0), 'hex');
    expect(decodeAll([before])).toEqual([{ group: 5, message: heartbeat() }]);
    const telling = heartbeat({ index: 12 as Message['index'] });
    expect(Buffer.from(encodeMessages([{ group: 5, message: telling }])[0]!).toString('hex')).toBe(heartbeatBytes(12));
  });

  it('refuses an unknown format version by name', () => {
    expect(() => decodeMessages(Buffer.from([9]), () => {})).toThrow(
      new MalformedFrame('unknown message format version 9'),
    );
  });

  it('refuses every truncation of a frame that cuts a message', () => {
    fc.assert(
      fc.property(groupMessage, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (one, share) => {
        const frame = Buffer.from(encodeMessages([one])[0]!);
        const cut = Math.floor(share * frame.length);
        if (cut === 1) return;
        expect(() => decodeMessages(frame.subarray(0, cut), () => {})).toThrow(MalformedFrame);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  it('meets arbitrary bytes and arbitrary damage with MalformedFrame and nothing else', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc.uint8Array({ maxLength: 400 }).map((tail) => Uint8Array.from([1, ...tail])),
      fc
        .tuple(fc.array(groupMessage, { minLength: 1, maxLength: 3 }), fc.array(fc.tuple(fc.nat(), fc.nat(255))))
        .map(([batch, edits]) => {
          const frame = Buffer.from(encodeMessages(batch)[0]!);
          for (const [at, value] of edits) frame[at % frame.length] = value;
          return frame;
        }),
    );
    fc.assert(
      fc.property(bytes, (raw) => {
        try {
          decodeMessages(Buffer.from(raw), () => {});
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedFrame);
        }
      }),
      { seed: SEED, numRuns: 3000 },
    );
  });

  it('does not believe a count that the frame has no room for', () => {
    const message = heartbeat({
      type: MessageType.Append,
      entries: [{ term: 1 as Message['term'], index: 1 as Message['index'], kind: 0, data: Buffer.alloc(4) }],
    });
    const frame = Buffer.from(encodeMessages([{ group: 0, message }])[0]!);
    const countAt = frame.length - 4 - 13 - 4;
    expect(frame.readUInt32LE(countAt)).toBe(1);
    frame.writeUInt32LE(0xffff_ffff, countAt);
    expect(() => decodeMessages(frame, () => {})).toThrow(/bytes wanted/);
  });

  it('will not encode what it could not decode', () => {
    expect(() => encodeMessages([{ group: -1, message: heartbeat() }])).toThrow(/invariant/);
    expect(() => encodeMessages([{ group: 1, message: heartbeat({ context: 1.5 }) }])).toThrow(/invariant/);
    expect(() => encodeMessages([{ group: 1, message: heartbeat({ context: -1 }) }])).toThrow(/invariant/);
  });
});
