import { describe, expect, it } from 'vitest';
import { type CallResult, Method, Rpc } from '../../../src/kv/server/rpc.js';
import type { Channel, NodeId, PeerEvent, Transport } from '../../../src/raft/index.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';
import { SimRandom } from '../../sim/fakes/random.js';

/** Keeps what is sent; the test delivers it, or not. */
class Wire implements Transport {
  readonly self = 'a';
  readonly sent: { readonly to: NodeId; readonly frame: Buffer }[] = [];
  reachable = true;
  #handler: (from: NodeId, frame: Buffer) => void = () => undefined;
  #listener: (peer: NodeId, event: PeerEvent) => void = () => undefined;

  send(to: NodeId, _channel: Channel, frame: Uint8Array): boolean {
    if (this.reachable) this.sent.push({ to, frame: Buffer.from(frame) });
    return this.reachable;
  }

  onFrame(_channel: Channel, handler: (from: NodeId, frame: Buffer) => void): void {
    this.#handler = handler;
  }

  onPeer(listener: (peer: NodeId, event: PeerEvent) => void): void {
    this.#listener = listener;
  }

  arrives(from: NodeId, frame: Buffer): void {
    this.#handler(from, frame);
  }

  event(peer: NodeId, event: PeerEvent): void {
    this.#listener(peer, event);
  }

  setPeers(): void {}

  async discover(): Promise<null> {
    return null;
  }

  async close(): Promise<void> {}
}

function world(seed = 1) {
  const scheduler = new SimScheduler();
  const clock = new SimClock(scheduler);
  const wire = new Wire();
  const rpc = new Rpc(wire, clock, new SimRandom(seed));
  const results: CallResult[] = [];
  const ask = (to = 'b', timeout_ms = 1_000): void => {
    rpc.call(to, Method.Get, Buffer.from('question'), timeout_ms, (result) => results.push(result));
  };
  return { scheduler, wire, rpc, results, ask };
}

/** The answer to a request frame: the same header, but for the kind. */
function answerTo(request: Buffer, body = 'answer'): Buffer {
  const header = Buffer.from(request.subarray(0, 11));
  header[1] = 1;
  return Buffer.concat([header, Buffer.from(body)]);
}

describe('a call', () => {
  it('ends with its answer, once, however often that comes', () => {
    const { wire, results, ask } = world();
    ask();
    const { frame } = wire.sent[0]!;
    for (let i = 0; i < 3; i++) wire.arrives('b', answerTo(frame));
    wire.event('b', { kind: 'lost' });
    expect(results).toEqual([{ kind: 'reply', body: Buffer.from('answer') }]);
  });

  it('that was not taken is told later than it was made, as certainly not delivered', async () => {
    const { scheduler, wire, results, ask } = world();
    wire.reachable = false;
    ask();
    expect(results).toEqual([]);
    await scheduler.runFor(5_000);
    expect(results).toEqual([{ kind: 'unsent' }]);
  });

  it.each(['lost', 'gone'] as const)('is lost when the connection is %s, and others are not', (kind) => {
    const { wire, results, ask } = world();
    ask('b');
    ask('c');
    wire.event('b', { kind });
    expect(results).toEqual([{ kind: 'lost' }]);
    wire.arrives('b', answerTo(wire.sent[0]!.frame));
    wire.arrives('c', answerTo(wire.sent[1]!.frame));
    expect(results.map((result) => result.kind)).toEqual(['lost', 'reply']);
  });

  it('made because another was lost is not lost with it', () => {
    const { wire, rpc, ask } = world();
    const kinds: string[] = [];
    rpc.call('b', Method.Get, Buffer.from('1'), 1_000, (first) => {
      kinds.push(first.kind);
      rpc.call('b', Method.Get, Buffer.from('2'), 1_000, (second) => kinds.push(second.kind));
    });
    ask('b');
    wire.event('b', { kind: 'lost' });
    expect(kinds).toEqual(['lost']);
    wire.arrives('b', answerTo(wire.sent[2]!.frame));
    expect(kinds).toEqual(['lost', 'reply']);
  });

  it('is lost at its deadline, within a sweep', async () => {
    const { scheduler, results, ask } = world();
    ask('b', 300);
    await scheduler.runFor(299);
    expect(results).toEqual([]);
    await scheduler.runFor(100);
    expect(results).toEqual([{ kind: 'lost' }]);
    expect(scheduler.idle).toBe(true);
  });

  it('takes no answer that was meant for an earlier process, another peer or another version', () => {
    const before = world(1);
    before.ask();
    const late = answerTo(before.wire.sent[0]!.frame);
    const { wire, results, ask } = world(2);
    ask();
    const own = answerTo(wire.sent[0]!.frame);
    const otherVersion = Buffer.from(own);
    otherVersion[0] = 2;
    wire.arrives('b', late);
    wire.arrives('c', own);
    wire.arrives('b', otherVersion);
    wire.arrives('b', own.subarray(0, 10));
    expect(results).toEqual([]);
    wire.arrives('b', own);
    expect(results).toEqual([{ kind: 'reply', body: Buffer.from('answer') }]);
  });

  it('is lost when this node closes; later ones are not sent', async () => {
    const { scheduler, wire, rpc, results, ask } = world();
    ask();
    rpc.close();
    ask();
    await scheduler.runFor(1);
    expect(results.map((result) => result.kind)).toEqual(['lost', 'unsent']);
    expect(wire.sent).toHaveLength(1);
  });

  it('of a method that nobody handles is left to its deadline', () => {
    const { wire } = world();
    wire.arrives('b', Buffer.concat([Buffer.from([1, 0, 99]), Buffer.alloc(8)]));
    expect(wire.sent).toEqual([]);
  });
});
