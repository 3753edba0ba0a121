/** By hand: `node --import tsx test/bench/transport-bench.ts`. Cost of the codec and of the transport over loopback. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Channel, type Entry, index, type Message, MessageType, type Transport, term } from '../../src/raft/index.js';
import { decodeMessages, encodeMessages, openTcpTransport, type TcpTransport } from '../../src/raft/transport/index.js';
import { writeFragment } from '../../src/raft/transport/wire-frame.js';
import { systemClock, systemRandom } from '../raft/transport/system-clock.js';

function append(entries: number, bytes: number): Message {
  const list: Entry[] = [];
  for (let i = 0; i < entries; i++) {
    list.push({ term: term(7), index: index(1000 + i), kind: 0, data: Buffer.alloc(bytes, i) });
  }
  return {
    type: MessageType.Append,
    from: 1,
    to: 2,
    term: term(7),
    index: index(999),
    logTerm: term(7),
    commit: index(990),
    entries: list,
    reject: false,
    hint: index(0),
    context: 0,
    snapshot: null,
  };
}

const micros = (from: bigint): number => Number(process.hrtime.bigint() - from) / 1000;

function codec(): void {
  const batch = [{ group: 3, message: append(64, 150) }];
  let seen = 0;
  const count = (_group: number, message: Message): void => {
    seen += message.entries.length;
  };
  const round = (): void => {
    for (const frame of encodeMessages(batch)) decodeMessages(frame as Buffer, count);
  };
  for (let i = 0; i < 20_000; i++) round();
  const rounds = 50_000;
  const from = process.hrtime.bigint();
  for (let i = 0; i < rounds; i++) round();
  console.log(
    `codec, 64 entries of 150 B, encode + decode: ${(micros(from) / rounds).toFixed(1)} µs (${seen} entries)`,
  );
}

/** What one write of `frames` frames of `bytes` bytes costs: laid side by side, or handed over as a vector. */
async function writeStrategies(frames: number, bytes: number): Promise<void> {
  const server = createServer((socket) => socket.resume());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  const socket = connect({ port: address.port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const frame = Buffer.alloc(bytes, 1);
  const target = Buffer.alloc(frames * (bytes + 12));
  const headers = Array.from({ length: frames }, () => Buffer.alloc(12));
  const copied = (to: Socket): boolean => {
    let at = 0;
    for (let i = 0; i < frames; i++) at = writeFragment(target, at, Channel.Raft, frame, 0, bytes);
    return to.write(target);
  };
  const vector = (to: Socket): boolean => {
    to.cork();
    let more = true;
    for (let i = 0; i < frames; i++) {
      to.write(headers[i]!);
      more = to.write(frame);
    }
    to.uncork();
    return more;
  };
  for (const [name, write] of [
    ['copied into one buffer', copied],
    ['corked, one vector', vector],
  ] as const) {
    const rounds = 5000;
    let from = process.hrtime.bigint();
    for (let i = -1000; i < rounds; i++) {
      if (i === 0) from = process.hrtime.bigint();
      if (!write(socket)) await once(socket, 'drain');
    }
    const us = micros(from) / rounds;
    console.log(`${frames} frames of ${bytes} B, ${name}: ${us.toFixed(1)} µs a write`);
  }
  socket.destroy();
  server.close();
}

async function pair(): Promise<[TcpTransport, TcpTransport]> {
  const open = (self: string): Promise<TcpTransport> =>
    openTcpTransport({
      self,
      listen: { host: '127.0.0.1', port: 0 },
      incarnation: self,
      clusterId: () => 'bench',
      clock: systemClock,
      random: systemRandom,
    });
  const [a, b] = [await open('a'), await open('b')];
  const peers = new Map(
    [a, b].map((node) => [node.self, { address: `127.0.0.1:${node.address.port}`, incarnation: null }]),
  );
  a.setPeers(peers);
  b.setPeers(peers);
  while (a.stats().connected + b.stats().connected < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  return [a, b];
}

/** `window` frames are in flight; each that arrives is answered, each answer brings the next. Both ends share this core. */
async function echo(channel: Channel, bytes: number, window: number, rounds: number): Promise<void> {
  const [a, b] = await pair();
  const frame = Buffer.alloc(bytes, 1);
  const send = (from: Transport, to: string): void => {
    if (!from.send(to, channel, frame)) throw new Error('a frame was not taken');
  };
  b.onFrame(channel, () => send(b, 'a'));
  const from = process.hrtime.bigint();
  await new Promise<void>((resolve) => {
    let sent = window;
    let back = 0;
    a.onFrame(channel, () => {
      if (++back === rounds) resolve();
      if (sent < rounds) {
        sent++;
        send(a, 'b');
      }
    });
    for (let i = 0; i < window; i++) send(a, 'b');
  });
  const us = micros(from);
  const name = Object.entries(Channel).find(([, value]) => value === channel)![0];
  const { writes } = a.stats();
  console.log(
    `echo on ${name}, ${bytes} B, ${window} in flight: ${(us / rounds).toFixed(1)} µs each, ${Math.round((rounds / us) * 1e6)}/s, ${(rounds / writes).toFixed(1)} frames a write`,
  );
  await Promise.all([a.close(), b.close()]);
}

codec();
for (const [frames, bytes] of [
  [1, 200],
  [10, 200],
  [4, 16_384],
] as const) {
  await writeStrategies(frames, bytes);
}
await echo(Channel.Raft, 200, 1, 20_000);
await echo(Channel.Raft, 200, 64, 200_000);
await echo(Channel.Rpc, 200, 1, 20_000);
await echo(Channel.Rpc, 200, 64, 200_000);
await echo(Channel.Raft, 16_384, 8, 20_000);
await echo(Channel.Snapshot, 1024 * 1024, 4, 500);
