/** What the contract cannot say: bytes that no transport sends, dead connections, priorities on a real socket. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Channel, type Transport } from '../../../src/raft/index.js';
import { decodeAnswer, encodeAnswer, encodeHello, GreetingReader } from '../../../src/raft/transport/handshake.js';
import type { TcpTransport, TransportLimits } from '../../../src/raft/transport/index.js';
import { fragment, RawClient, RawServer } from './raw-peer.js';
import { TcpWorld, until } from './tcp-world.js';

const MIB = 1024 * 1024;

describe('TCP transport', () => {
  let world: TcpWorld;
  const raws: RawServer[] = [];
  const clients: RawClient[] = [];

  beforeEach(() => {
    world = new TcpWorld();
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.socket.destroy();
    await Promise.all(raws.splice(0).map((raw) => raw.close()));
    await world.close();
  });

  const open = (self: string, limits: Partial<TransportLimits> = {}): Promise<TcpTransport> =>
    world.open({ self, incarnation: `${self}-first`, clusterId: () => 'c1' }, limits);
  const client = (to: TcpTransport): RawClient => {
    const raw = new RawClient(to.address.port);
    clients.push(raw);
    return raw;
  };
  const server = async (node: string, greeting: Buffer | null = null): Promise<RawServer> => {
    const raw = await RawServer.open(node, greeting);
    raws.push(raw);
    return raw;
  };
  const eventsOf = (transport: Transport): string[] => {
    const events: string[] = [];
    transport.onPeer((peer, event) =>
      events.push(`${peer} ${event.kind}${event.kind === 'refused' ? ` ${event.reason}` : ''}`),
    );
    return events;
  };
  const toRaw = (transport: Transport, raw: RawServer): void =>
    transport.setPeers(new Map([['raw', { address: raw.address, incarnation: null }]]));
  const reasons = (): string[] => world.events.map((event) => `${event.name}: ${event.reason}`);

  it('answers garbage with a clean end and goes on with the others', async () => {
    const a = await open('n1');
    const b = await open('n2');
    const events = eventsOf(a);
    let frames = 0;
    b.onFrame(Channel.Raft, () => frames++);
    a.setPeers(new Map([['n2', { address: world.address('n2'), incarnation: null }]]));
    await until(() => events.length === 1);
    const garbage = [
      Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
      Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00]),
      Buffer.concat([Buffer.from('QRTM'), Buffer.alloc(60, 0xff)]),
      ...fc
        .sample(fc.uint8Array({ minLength: 4, maxLength: 3000 }), { seed: 7, numRuns: 20 })
        .map((raw) => Buffer.from(raw)),
    ];
    for (const bytes of garbage) {
      const stranger = client(b);
      stranger.socket.write(bytes);
      a.send('n2', Channel.Raft, Buffer.from('on'));
      await stranger.ended();
      expect(stranger.received.length).toBe(0);
    }
    await until(() => frames === garbage.length);
    expect(events).toEqual(['n2 up']);
    expect(b.stats().malformed).toBe(garbage.length);
    expect(reasons()[0]).toBe('inbound_broken: this is not the protocol of a node');
  });

  it('breaks a connection with a wrong checksum, and delivers nothing of it', async () => {
    const b = await open('n2');
    const seen: string[] = [];
    b.onFrame(Channel.Raft, (_from, frame) => seen.push(frame.toString()));
    const peer = client(b);
    await peer.greet('n1', 'n2');
    const bad = fragment(Channel.Raft, Buffer.from('bad'));
    bad[13]! ^= 1;
    peer.socket.write(
      Buffer.concat([fragment(Channel.Raft, Buffer.from('good')), bad, fragment(0, Buffer.from('late'))]),
    );
    await peer.ended();
    expect(seen).toEqual(['good']);
    expect(reasons()).toEqual(['inbound_broken: checksum mismatch']);
  });

  it('refuses a frame above the limit by name', async () => {
    const b = await open('n2', { frame_bytes: 1000 });
    const peer = client(b);
    await peer.greet('n1', 'n2');
    peer.socket.write(fragment(Channel.Rpc, Buffer.alloc(1001)));
    await peer.ended();
    expect(reasons()).toEqual(['inbound_broken: frame larger than 1000 bytes']);
  });

  it('does not send what the peer would refuse, and says so', async () => {
    const a = await open('n1');
    await open('n2', { frame_bytes: 1000 });
    const events = eventsOf(a);
    a.setPeers(new Map([['n2', { address: world.address('n2'), incarnation: null }]]));
    await until(() => events.length === 1);
    expect(a.send('n2', Channel.Rpc, Buffer.alloc(1001))).toBe(false);
    expect(a.send('n2', Channel.Rpc, Buffer.alloc(1000))).toBe(true);
    expect(reasons()).toEqual(['frame_too_large: a frame of 1001 bytes, the peer takes 1000']);
  });

  it('tells a dialler of another protocol version which one it speaks', async () => {
    const b = await open('n2');
    const peer = client(b);
    const hello = encodeHello({ clusterId: 'c1', node: 'n1', incarnation: 'raw', target: 'n2' });
    hello.writeUInt16LE(2, 4);
    peer.socket.write(hello);
    await peer.ended();
    expect(new GreetingReader().push(peer.received)!.version).toBe(1);
    expect(reasons()).toEqual(['inbound_refused: unknown_version: n2 speaks protocol version 1, not 2']);
  });

  it('turns away from an acceptor of another protocol version by name', async () => {
    const greeting = encodeAnswer({ clusterId: 'c1', node: 'raw', incarnation: 'i', refusal: null, maxFrame_bytes: 1 });
    greeting.writeUInt16LE(9, 4);
    const raw = await server('raw', greeting);
    const a = await open('n1');
    const events = eventsOf(a);
    toRaw(a, raw);
    await until(() => events.length === 1);
    expect(events).toEqual(['raw refused unknown_version: raw speaks protocol version 9, we speak 1']);
  });

  it('turns away from an acceptor that is another node than was meant', async () => {
    const raw = await server('other');
    const a = await open('n1');
    const events = eventsOf(a);
    toRaw(a, raw);
    await until(() => events.length === 1);
    expect(events).toEqual(['raw refused wrong_node: raw was meant, other answered']);
  });

  it('keeps no connection that does not get through the handshake', async () => {
    const b = await open('n2', { handshake_ms: 50 });
    const silent = client(b);
    await silent.ended();
    expect(reasons()).toEqual(['inbound_broken: no handshake in time']);
  });

  it('gives a connection up on which the peer confirms nothing, and dials again', async () => {
    const raw = await server('raw');
    const a = await open('n1', { stall_ms: 1000 });
    const events = eventsOf(a);
    toRaw(a, raw);
    await until(() => events.length === 1);
    a.send('raw', Channel.Raft, Buffer.from('anybody there?'));
    await until(() => events.length === 3);
    expect(events).toEqual(['raw up', 'raw lost', 'raw up']);
    expect(reasons()).toEqual(['outbound_broken: nothing acknowledged for 1000 ms']);
  });

  it('does not give up a connection on which nothing was sent', async () => {
    const raw = await server('raw');
    const a = await open('n1', { stall_ms: 1000 });
    const idle = await open('n2', { stall_ms: 1000 });
    const events = eventsOf(a);
    const idleEvents = eventsOf(idle);
    toRaw(a, raw);
    await until(() => events.length === 1);
    toRaw(idle, raw);
    await until(() => idleEvents.length === 1);
    a.send('raw', Channel.Raft, Buffer.from('x'));
    await until(() => events.includes('raw lost'));
    expect(idleEvents).toEqual(['raw up']);
  });

  it('breaks with a peer that confirms more than it was sent', async () => {
    const raw = await server('raw');
    const a = await open('n1');
    const events = eventsOf(a);
    toRaw(a, raw);
    await until(() => events.length === 1);
    raw.acknowledge(5);
    await until(() => events.includes('raw lost'));
    expect(reasons()).toEqual(['outbound_broken: 5 bytes acknowledged of 0']);
  });

  it('lets Raft pass a snapshot that is under way, however much of it waits', async () => {
    const raw = await server('raw');
    const a = await open('n1', { snapshotWindow_bytes: 256 * 1024 });
    const events = eventsOf(a);
    toRaw(a, raw);
    await until(() => events.length === 1);
    for (let i = 0; i < 8; i++) expect(a.send('raw', Channel.Snapshot, Buffer.alloc(MIB))).toBe(true);
    // Nothing is confirmed: the snapshot stops at its window, after at most one fragment beyond it.
    await until(() => raw.received_bytes >= 256 * 1024);
    expect(a.send('raw', Channel.Raft, Buffer.from('raft'))).toBe(true);
    expect(a.send('raw', Channel.Rpc, Buffer.from('rpc'))).toBe(true);
    await until(() => raw.frames.length === 2);
    expect(raw.frames.map((frame) => frame.channel)).toEqual([Channel.Raft, Channel.Rpc]);
    expect(raw.received_bytes).toBeLessThanOrEqual((256 + 64) * 1024 + 100);
    // Confirmed step by step, all of it comes.
    while (raw.frames.length < 10) {
      const before = raw.received_bytes;
      raw.acknowledge(before);
      await until(() => raw.received_bytes > before || raw.frames.length === 10);
    }
    expect(raw.frames.slice(2).every((frame) => frame.channel === Channel.Snapshot && frame.bytes === MIB)).toBe(true);
  });

  it('sends all frames of one turn in one write', async () => {
    const a = await open('n1');
    const b = await open('n2');
    let frames = 0;
    for (const channel of [Channel.Raft, Channel.Rpc]) b.onFrame(channel, () => frames++);
    a.setPeers(new Map([['n2', { address: world.address('n2'), incarnation: null }]]));
    await until(() => a.stats().connected === 1);
    for (let i = 0; i < 100; i++) a.send('n2', i % 2 === 0 ? Channel.Raft : Channel.Rpc, Buffer.from(`${i}`));
    await until(() => frames === 100);
    expect(a.stats()).toMatchObject({ writes: 1, framesSent: 100 });
    expect(b.stats()).toMatchObject({ framesReceived: 100, inbound: 1 });
  });

  it('says `lost` and `gone` after kill -9 of the peer', async () => {
    const script = fileURLToPath(new URL('./listening-process.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const [port] = (await once(child.stdout, 'data')) as [Buffer];
      const a = await open('n1');
      const events = eventsOf(a);
      a.setPeers(new Map([['n2', { address: `127.0.0.1:${Number(port.toString())}`, incarnation: 'child' }]]));
      await until(() => events.length === 1);
      child.kill('SIGKILL');
      await until(() => events.length === 3);
      expect(events).toEqual(['n2 up', 'n2 lost', 'n2 gone']);
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('answers one who asks who is there, hangs up, and takes no frame from it', async () => {
    const b = await open('n2', { frame_bytes: 1000 });
    const frames: string[] = [];
    b.onFrame(Channel.Raft, (from) => frames.push(from));
    const stranger = client(b);
    await stranger.greet('n9', null);
    stranger.socket.write(fragment(Channel.Raft, Buffer.from('x')));
    await stranger.ended();
    expect(decodeAnswer(new GreetingReader().push(stranger.received)!.body)).toEqual({
      clusterId: 'c1',
      node: 'n2',
      incarnation: 'n2-first',
      refusal: null,
      maxFrame_bytes: 1000,
    });
    expect(frames).toEqual([]);
    expect(b.stats()).toMatchObject({ inbound: 0, refusals: 0, malformed: 0 });
    expect(reasons()).toEqual([]);
  });

  it('F28 names the reason to one who asks from another cluster', async () => {
    const b = await open('n2');
    const stranger = client(b);
    await stranger.greet('n9', null, 'c2');
    await stranger.ended();
    expect(decodeAnswer(new GreetingReader().push(stranger.received)!.body).refusal?.name).toBe('wrong_cluster');
    expect(reasons()).toEqual(['inbound_refused: wrong_cluster: n9 belongs to cluster c2, n2 to c1']);
  });

  it('keeps the connection of a peer while another process asks under the same id', async () => {
    const b = await open('n2');
    const frames: string[] = [];
    b.onFrame(Channel.Raft, (_from, frame) => frames.push(frame.toString()));
    const peer = client(b);
    await peer.greet('n1', 'n2');
    const other = client(b);
    await other.greet('n1', null);
    await other.ended();
    peer.socket.write(fragment(Channel.Raft, Buffer.from('still here')));
    await until(() => frames.length === 1);
    expect(b.stats().inbound).toBe(1);
    expect(reasons()).toEqual([]);
  });

  it('gives up on one who is silent where it asks who is there', async () => {
    const raw = await server('raw', Buffer.alloc(0));
    const a = await open('n1', { handshake_ms: 50 });
    expect(await a.discover(raw.address)).toBeNull();
    await until(() => raw.sockets[0]!.destroyed);
  });

  it('takes no answer that is broken or of another version for somebody, and says so', async () => {
    const answer = encodeAnswer({ clusterId: 'c1', node: 'raw', incarnation: 'i', refusal: null, maxFrame_bytes: 1 });
    const bad = Buffer.from(answer);
    bad[bad.length - 1]! ^= 1;
    const newer = Buffer.from(answer);
    newer.writeUInt16LE(9, 4);
    const a = await open('n1');
    const [broken, later] = [await server('raw', bad), await server('raw', newer)];
    expect(await a.discover(broken.address)).toBeNull();
    expect(await a.discover(later.address)).toBeNull();
    expect(reasons()).toEqual([
      'outbound_broken: checksum mismatch in a greeting',
      `outbound_refused: unknown_version: ${later.address} speaks protocol version 9, we speak 1`,
    ]);
    expect(a.stats()).toMatchObject({ malformed: 1, refusals: 1, dials: 2 });
  });

  it('F28 discovers no one who shows another cluster although it would take us', async () => {
    const raw = await server('raw');
    const a = await world.open({ self: 'n1', incarnation: 'n1-first', clusterId: () => 'c2' });
    expect(await a.discover(raw.address)).toBeNull();
    expect(reasons()).toEqual(['outbound_refused: wrong_cluster: raw belongs to cluster c1, n1 to c2']);
  });

  it('leaves no connection behind when it closes while it discovers', async () => {
    const raw = await server('raw', Buffer.alloc(0));
    const a = await open('n1');
    const asked = a.discover(raw.address);
    await until(() => raw.sockets.length === 1);
    await a.close();
    expect(await asked).toBeNull();
    await until(() => raw.sockets[0]!.destroyed);
  });

  it('rejects when its port is taken', async () => {
    await open('n1');
    const taken = world.opened[0]!.address;
    const { openTcpTransport } = await import('../../../src/raft/transport/index.js');
    const { systemClock, systemRandom } = await import('./system-clock.js');
    const second = openTcpTransport({
      self: 'n2',
      listen: taken,
      incarnation: 'i',
      clusterId: () => null,
      clock: systemClock,
      random: systemRandom,
    });
    await expect(second).rejects.toThrow(/EADDRINUSE/);
  });

  it('reports an address that is none and reaches the peer once it is put right', async () => {
    const a = await open('n1');
    await open('n2');
    const events = eventsOf(a);
    a.setPeers(new Map([['n2', { address: 'nowhere', incarnation: null }]]));
    expect(reasons()).toEqual(['outbound_broken: not an address: nowhere']);
    a.setPeers(new Map([['n2', { address: world.address('n2'), incarnation: null }]]));
    await until(() => events.length === 1);
    expect(events).toEqual(['n2 up']);
  });
});
