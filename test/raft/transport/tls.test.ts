/** The same transport over TLS: both sides show a certificate. */
import { afterEach, describe, expect, it } from 'vitest';
import { Channel } from '../../../src/raft/index.js';
import { openTcpTransport, type TcpTransport, type TransportTls } from '../../../src/raft/transport/index.js';
import { systemClock, systemRandom } from './system-clock.js';
import { until } from './tcp-world.js';
import { NODE_CERT, NODE_KEY, STRANGER_CERT, STRANGER_KEY } from './test-certificates.js';

const node: TransportTls = { key: NODE_KEY, cert: NODE_CERT, ca: NODE_CERT };
const stranger: TransportTls = { key: STRANGER_KEY, cert: STRANGER_CERT, ca: NODE_CERT };

describe('transport over TLS', () => {
  const opened: TcpTransport[] = [];
  const events: string[] = [];

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((transport) => transport.close()));
    events.length = 0;
  });

  const open = async (self: string, tls?: TransportTls): Promise<TcpTransport> => {
    const transport = await openTcpTransport({
      self,
      listen: { host: '127.0.0.1', port: 0 },
      incarnation: self,
      clusterId: () => 'c1',
      clock: systemClock,
      random: systemRandom,
      onEvent: (event) => events.push(event.name),
      ...(tls === undefined ? {} : { tls }),
    });
    opened.push(transport);
    return transport;
  };
  const connect = (from: TcpTransport, to: TcpTransport): void =>
    from.setPeers(new Map([[to.self, { address: `127.0.0.1:${to.address.port}`, incarnation: to.self }]]));

  it('carries frames of all channels, big ones too', async () => {
    const [a, b] = [await open('n1', node), await open('n2', node)];
    const sizes = new Map<Channel, number>();
    for (const channel of Object.values(Channel))
      b.onFrame(channel, (_from, frame) => sizes.set(channel, frame.length));
    connect(a, b);
    await until(() => a.stats().connected === 1);
    for (const channel of Object.values(Channel)) a.send('n2', channel, Buffer.alloc(channel * 2_000_000));
    await until(() => sizes.size === 3);
    expect([...sizes].sort()).toEqual([
      [Channel.Raft, 0],
      [Channel.Rpc, 2_000_000],
      [Channel.Snapshot, 4_000_000],
    ]);
  });

  it('lets nobody in whose certificate it does not trust, and nobody without one', async () => {
    const b = await open('n2', node);
    for (const tls of [stranger, undefined]) {
      const before = events.length;
      const a = await open('n1', tls);
      connect(a, b);
      await until(() => events.slice(before).includes('listener'));
      await a.close();
      expect(a.stats().connected).toBe(0);
      expect(b.stats().inbound).toBe(0);
    }
  });

  it('discovers by the same certificates', async () => {
    const b = await open('n2', node);
    const at = `127.0.0.1:${b.address.port}`;
    const a = await open('n1', node);
    expect(await a.discover(at)).toEqual({ node: 'n2', incarnation: 'n2', clusterId: 'c1' });
    for (const tls of [stranger, undefined]) {
      const other = await open('n3', tls);
      expect(await other.discover(at)).toBeNull();
    }
  });

  it('says `gone` when the peer has ended', async () => {
    const [a, b] = [await open('n1', node), await open('n2', node)];
    const seen: string[] = [];
    a.onPeer((_peer, event) => seen.push(event.kind));
    connect(a, b);
    await until(() => seen.length === 1);
    await b.close();
    await until(() => seen.length === 3);
    expect(seen).toEqual(['up', 'lost', 'gone']);
  });
});
