/** Fragments: any cut of the byte stream gives the same frames, and no bytes hurt. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Channel, MalformedFrame } from '../../../src/raft/index.js';
import { SendQueue, SNAPSHOT_SHARE_BYTES } from '../../../src/raft/transport/send-queue.js';
import { FRAGMENT_BYTES, FrameParser } from '../../../src/raft/transport/wire-frame.js';
import { fragment } from './raw-peer.js';

const SEED = 20240917;
const LIMITS = { raft_bytes: 1 << 26, rpc_bytes: 1 << 26, snapshot_bytes: 1 << 26 };

interface Seen {
  readonly channel: Channel;
  readonly frame: Buffer;
}

/** Everything in the queue as one stream of bytes. */
function drain(queue: SendQueue, credit = Number.POSITIVE_INFINITY): Buffer {
  const target = Buffer.alloc(4 * FRAGMENT_BYTES);
  const out: Buffer[] = [];
  for (let sent = 0; ; ) {
    const bytes = queue.fill(target, target.length, credit - sent);
    if (bytes === 0) return Buffer.concat(out);
    sent += bytes;
    out.push(Buffer.from(target.subarray(0, bytes)));
  }
}

function parse(chunks: readonly Buffer[], maxFrameBytes = 1 << 26): Seen[] {
  const seen: Seen[] = [];
  const parser = new FrameParser(maxFrameBytes, (channel, frame) => seen.push({ channel, frame }));
  for (const chunk of chunks) parser.push(chunk);
  return seen;
}

const sizes = fc.oneof(fc.nat(300), fc.constantFrom(0, 65_523, 65_524, 65_525, 131_048, 200_000));
const channel = fc.constantFrom<Channel>(0, 1, 2);

describe('frames on the wire', () => {
  it('come out whole and in the order of their channel, however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(channel, sizes), { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 90_000 }), { minLength: 1 }),
        (plan, cuts) => {
          const queue = new SendQueue(LIMITS);
          const frames = plan.map(([to, size], i) => ({ channel: to, frame: Buffer.alloc(size, i) }));
          for (const one of frames) expect(queue.push(one.channel, one.frame)).toBe(true);
          const stream = drain(queue);
          expect(queue.bytes).toBe(0);
          const chunks: Buffer[] = [];
          for (let at = 0, i = 0; at < stream.length; i++) {
            const end = at + cuts[i % cuts.length]!;
            chunks.push(stream.subarray(at, end));
            at = end;
          }
          const seen = parse(chunks);
          for (const one of [0, 1, 2]) {
            const want = frames.filter((f) => f.channel === one);
            const got = seen.filter((f) => f.channel === one);
            expect(got.length).toBe(want.length);
            expect(got.every((f, i) => f.frame.equals(want[i]!.frame))).toBe(true);
          }
        },
      ),
      { seed: SEED, numRuns: 100 },
    );
  });

  it('come out the same when the stream comes byte by byte', () => {
    const stream = Buffer.concat([
      fragment(0, Buffer.from('one')),
      fragment(2, Buffer.alloc(0)),
      fragment(1, Buffer.from('two')),
    ]);
    const seen = parse(Array.from(stream, (_, i) => stream.subarray(i, i + 1)));
    expect(seen.map((f) => [f.channel, f.frame.toString()])).toEqual([
      [0, 'one'],
      [2, ''],
      [1, 'two'],
    ]);
  });

  it('are views into the chunk when they come whole', () => {
    const chunk = fragment(0, Buffer.from('whole'));
    expect(parse([chunk])[0]!.frame.buffer).toBe(chunk.buffer);
  });

  it('meet arbitrary bytes and damage with MalformedFrame and nothing else', () => {
    const valid = Buffer.concat([fragment(0, Buffer.alloc(40, 1)), fragment(1, Buffer.alloc(9, 2))]);
    const damaged = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1 }).map((edits) => {
      const bytes = Buffer.from(valid);
      for (const [at, value] of edits) bytes[at] = value;
      return bytes;
    });
    fc.assert(
      fc.property(
        fc.oneof(
          damaged,
          fc.uint8Array({ maxLength: 500 }).map((raw) => Buffer.from(raw)),
        ),
        (bytes) => {
          try {
            for (const { frame } of parse([bytes])) expect([40, 9]).toContain(frame.length);
          } catch (error) {
            expect(error).toBeInstanceOf(MalformedFrame);
          }
        },
      ),
      { seed: SEED, numRuns: 2000 },
    );
  });

  it('are refused when a single bit is wrong anywhere', () => {
    const frame = fragment(0, Buffer.from('the quick brown fox'));
    for (let bit = 0; bit < frame.length * 8; bit++) {
      const bytes = Buffer.concat([frame, frame]);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      let seen = 0;
      const parser = new FrameParser(1 << 20, () => seen++);
      try {
        parser.push(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedFrame);
      }
      expect(seen, `bit ${bit}`).toBe(0);
    }
  });

  it('are refused above the limit, before they are complete', () => {
    const queue = new SendQueue(LIMITS);
    queue.push(Channel.Rpc, Buffer.alloc(300_000));
    const stream = drain(queue);
    expect(() => parse([stream.subarray(0, 200_000)], 100_000)).toThrow('frame larger than 100000 bytes');
  });

  it('stop at once when the parser is stopped in the middle of a chunk', () => {
    const stream = Buffer.concat([fragment(0, Buffer.from('1')), fragment(0, Buffer.from('2'))]);
    const seen: string[] = [];
    const parser = new FrameParser(100, (_channel, frame) => {
      seen.push(frame.toString());
      parser.stop();
    });
    parser.push(stream);
    expect(seen).toEqual(['1']);
  });
});

describe('the send queue', () => {
  const order = (stream: Buffer): Channel[] => {
    const out: Channel[] = [];
    for (let at = 0; at < stream.length; at += 12 + stream.readUInt32LE(at + 4)) out.push(stream[at + 9] as Channel);
    return out;
  };

  it('lets Raft and Rpc pass a big snapshot frame that came before them', () => {
    const queue = new SendQueue(LIMITS);
    queue.push(Channel.Snapshot, Buffer.alloc(500_000));
    const target = Buffer.alloc(2 * FRAGMENT_BYTES);
    expect(order(target.subarray(0, queue.fill(target, FRAGMENT_BYTES, 1)))).toEqual([Channel.Snapshot]);
    queue.push(Channel.Rpc, Buffer.from('rpc'));
    queue.push(Channel.Raft, Buffer.from('raft'));
    expect(order(drain(queue)).slice(0, 3)).toEqual([Channel.Raft, Channel.Rpc, Channel.Snapshot]);
  });

  it('lets Raft and Rpc take turns, so that neither waits for all of the other', () => {
    const queue = new SendQueue(LIMITS);
    queue.push(Channel.Rpc, Buffer.alloc(400_000));
    for (let i = 0; i < 3; i++) queue.push(Channel.Raft, Buffer.from('raft'));
    expect(order(drain(queue)).slice(0, 6)).toEqual([0, 1, 0, 1, 0, 1]);
  });

  it('sends no snapshot without credit, and everything else all the same', () => {
    const queue = new SendQueue(LIMITS);
    queue.push(Channel.Snapshot, Buffer.alloc(1_000_000));
    const sent = order(drain(queue, 100_000));
    expect(sent).toEqual([Channel.Snapshot, Channel.Snapshot]);
    queue.push(Channel.Raft, Buffer.from('raft'));
    expect(order(drain(queue, 0))).toEqual([Channel.Raft]);
    expect(order(drain(queue)).length).toBe(Math.ceil(1_000_000 / (FRAGMENT_BYTES - 12)) - 2);
  });

  it('gives a snapshot its share though the others never rest', () => {
    const queue = new SendQueue(LIMITS);
    queue.push(Channel.Snapshot, Buffer.alloc(200_000));
    let others_bytes = 0;
    let snapshots = 0;
    const target = Buffer.alloc(4 * FRAGMENT_BYTES);
    while (snapshots < 3) {
      queue.push(Channel.Raft, Buffer.alloc(FRAGMENT_BYTES));
      queue.push(Channel.Rpc, Buffer.alloc(FRAGMENT_BYTES));
      const bytes = queue.fill(target, target.length, 0);
      const sent = order(target.subarray(0, bytes));
      snapshots += sent.filter((one) => one === Channel.Snapshot).length;
      others_bytes += bytes;
    }
    expect(others_bytes).toBeLessThan(4 * SNAPSHOT_SHARE_BYTES);
  });

  it('F42 refuses what is above its bound, counts tiny frames too, and takes one frame of any size when empty', () => {
    const queue = new SendQueue({ raft_bytes: 1000, rpc_bytes: 1000, snapshot_bytes: 1000 });
    expect(queue.push(Channel.Raft, Buffer.alloc(5000))).toBe(true);
    expect(queue.push(Channel.Raft, Buffer.alloc(0))).toBe(false);
    let tiny = 0;
    while (queue.push(Channel.Rpc, Buffer.alloc(0))) tiny++;
    expect(tiny).toBe(Math.floor(1000 / 64));
    drain(queue);
    expect(queue.bytes).toBe(0);
    expect(queue.push(Channel.Raft, Buffer.alloc(10))).toBe(true);
  });

  it('keeps order and count through thousands of frames', () => {
    const queue = new SendQueue(LIMITS);
    const want: string[] = [];
    for (let i = 0; i < 5000; i++) {
      want.push(`${i}`);
      queue.push(Channel.Raft, Buffer.from(`${i}`));
    }
    expect(parse([drain(queue)]).map((f) => f.frame.toString())).toEqual(want);
    expect(queue.bytes).toBe(0);
  });
});
