/**
 * What everyone above may expect of a `Transport`, real or simulated. Without faults on the way: a fake that is asked to
 * lose and reorder frames does so on top of this.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  Channel,
  type Discovered,
  MalformedFrame,
  type PeerAddress,
  type PeerEvent,
  type Transport,
} from '../../src/raft/index.js';
import type { Identity } from '../../src/raft/transport/index.js';

export interface TransportIdentity {
  readonly self: string;
  readonly incarnation: string;
  readonly clusterId: () => string | null;
  readonly onClusterId?: (clusterId: string, from: string) => void;
  readonly admit?: (peer: Identity) => string | null;
}

export interface TransportWorld {
  open(identity: TransportIdentity): Promise<Transport>;
  /** Where a node that is or was open listens. */
  address(node: string): string;
  /** Lets the world go on until the condition holds; rejects if it never does. */
  until(condition: () => boolean): Promise<void>;
  close(): Promise<void>;
}

/** One end and what it saw. */
class Node {
  readonly transport: Transport;
  readonly frames: string[] = [];
  readonly events: string[] = [];
  readonly reasons: string[] = [];

  constructor(transport: Transport) {
    this.transport = transport;
    for (const channel of Object.values(Channel)) {
      transport.onFrame(channel, (from, frame) => this.frames.push(`${from}/${channel}/${frame.toString()}`));
    }
    transport.onPeer((peer, event) => {
      this.events.push(`${peer} ${event.kind}`);
      if (event.kind === 'refused') this.reasons.push(event.reason);
    });
  }

  send(to: string, text: string, channel: Channel = Channel.Raft): boolean {
    return this.transport.send(to, channel, Buffer.from(text));
  }

  count(event: string): number {
    return this.events.filter((one) => one === event).length;
  }
}

export function transportContract(name: string, createWorld: () => Promise<TransportWorld>): void {
  describe(`Transport contract: ${name}`, () => {
    let world: TransportWorld;

    beforeEach(async () => {
      world = await createWorld();
    });
    afterEach(() => world.close());

    const open = async (self: string, over: Partial<TransportIdentity> = {}): Promise<Node> =>
      new Node(await world.open({ self, incarnation: `${self}-first`, clusterId: () => 'c1', ...over }));

    const peers = (...nodes: (string | [string, string | null])[]): Map<string, PeerAddress> =>
      new Map(
        nodes.map((entry) => {
          const [node, incarnation] = typeof entry === 'string' ? [entry, null] : entry;
          return [node, { address: world.address(node), incarnation }];
        }),
      );

    const pair = async (): Promise<[Node, Node]> => {
      const a = await open('n1');
      const b = await open('n2');
      a.transport.setPeers(peers('n1', 'n2'));
      b.transport.setPeers(peers('n1', 'n2'));
      await world.until(() => a.count('n2 up') === 1 && b.count('n1 up') === 1);
      return [a, b];
    };

    const ask = async (from: Node, address: string): Promise<Discovered | null> => {
      const heard: (Discovered | null)[] = [];
      void from.transport.discover(address).then((found) => heard.push(found));
      await world.until(() => heard.length === 1);
      return heard[0]!;
    };

    it('delivers frames of a channel in order, under the name of the sender', async () => {
      const [a, b] = await pair();
      const sent = Array.from({ length: 200 }, (_, i) => `f${i}`);
      for (const text of sent) expect(a.send('n2', text)).toBe(true);
      await world.until(() => b.frames.length === sent.length);
      expect(b.frames).toEqual(sent.map((text) => `n1/${Channel.Raft}/${text}`));
    });

    it('keeps the channels apart and delivers in both directions', async () => {
      const [a, b] = await pair();
      for (const channel of Object.values(Channel)) a.send('n2', 'there', channel);
      b.send('n1', 'back', Channel.Rpc);
      await world.until(() => b.frames.length === 3 && a.frames.length === 1);
      expect([...b.frames].sort()).toEqual(['n1/0/there', 'n1/1/there', 'n1/2/there']);
      expect(a.frames).toEqual(['n2/1/back']);
    });

    it('delivers frames of any size whole, an empty one too', async () => {
      const [a, b] = await pair();
      const sizes = [0, 1, 65_523, 65_524, 65_525, 200_000, 3_000_000];
      const texts = sizes.map((size, i) => String.fromCharCode(97 + i).repeat(size));
      for (const text of texts) expect(a.send('n2', text)).toBe(true);
      await world.until(() => b.frames.length === texts.length);
      b.frames.forEach((frame, i) => {
        expect(frame === `n1/0/${texts[i]}`, `frame of ${sizes[i]} bytes`).toBe(true);
      });
    });

    it('tells the incarnation with `up`', async () => {
      const a = await open('n1');
      await open('n2', { incarnation: 'second-disk' });
      const seen: PeerEvent[] = [];
      a.transport.onPeer((_peer, event) => seen.push(event));
      a.transport.setPeers(peers('n2'));
      await world.until(() => seen.length > 0);
      expect(seen).toEqual([{ kind: 'up', incarnation: 'second-disk' }]);
    });

    it('takes nothing for a peer it does not know or is not connected to', async () => {
      const a = await open('n1');
      await open('n2');
      expect(a.send('n2', 'x')).toBe(false);
      a.transport.setPeers(peers('n2'));
      expect(a.send('n2', 'x')).toBe(false);
      expect(a.send('n9', 'x')).toBe(false);
      expect(a.send('n1', 'x')).toBe(false);
    });

    it('accepts frames of a peer that it has not been told of, and cannot answer it', async () => {
      const a = await open('n1');
      const b = await open('n2');
      a.transport.setPeers(peers('n2'));
      await world.until(() => a.count('n2 up') === 1);
      a.send('n2', 'hello');
      await world.until(() => b.frames.length === 1);
      expect(b.send('n1', 'x')).toBe(false);
    });

    it('says `lost` and then `gone` when the process of the peer ends, and `up` when it is back', async () => {
      const [a, b] = await pair();
      await b.transport.close();
      await world.until(() => a.count('n2 gone') === 1);
      expect(a.events).toEqual(['n2 up', 'n2 lost', 'n2 gone']);
      expect(a.send('n2', 'x')).toBe(false);
      const again = await open('n2');
      await world.until(() => a.count('n2 up') === 2);
      expect(a.events).toEqual(['n2 up', 'n2 lost', 'n2 gone', 'n2 up']);
      expect(a.send('n2', 'again')).toBe(true);
      await world.until(() => again.frames.length === 1);
    });

    it('says `gone` once, however long the peer is away', async () => {
      const b = await open('n2');
      await b.transport.close();
      const a = await open('n1');
      const c = await open('n3');
      a.transport.setPeers(peers('n2', 'n3'));
      c.transport.setPeers(peers('n2', 'n1'));
      await world.until(() => a.count('n2 gone') === 1 && c.count('n2 gone') === 1 && a.count('n3 up') === 1);
      for (let i = 0; i < 5; i++) {
        // A peer that dials resets the back-off towards it, not towards others; n2 stays away through several dials.
        a.send('n3', `${i}`);
        await world.until(() => c.frames.length === i + 1);
      }
      expect(a.count('n2 gone')).toBe(1);
    });

    it('disconnects peers that are no longer among them', async () => {
      const [a, b] = await pair();
      a.transport.setPeers(peers('n1'));
      expect(a.send('n2', 'x')).toBe(false);
      await world.until(() => b.count('n1 lost') >= 1);
    });

    it('F28 refuses a peer of another cluster by name, whoever dials', async () => {
      const a = await open('n1', { clusterId: () => 'c1' });
      const b = await open('n2', { clusterId: () => 'c2' });
      a.transport.setPeers(peers('n2'));
      b.transport.setPeers(peers('n1'));
      await world.until(() => a.reasons.length === 1 && b.reasons.length === 1);
      expect(a.reasons[0]).toBe('wrong_cluster: n1 belongs to cluster c1, n2 to c2');
      expect(b.reasons[0]).toBe('wrong_cluster: n2 belongs to cluster c2, n1 to c1');
      expect(a.send('n2', 'x')).toBe(false);
    });

    it('F28 lets a node without a cluster speak, and breaks with foreigners once it has joined one', async () => {
      let joined: string | null = null;
      const a = await open('n1', { clusterId: () => 'c1' });
      const b = await open('n2', { clusterId: () => joined });
      a.transport.setPeers(peers('n2'));
      b.transport.setPeers(peers('n1'));
      await world.until(() => a.count('n2 up') === 1 && b.count('n1 up') === 1);
      a.send('n2', 'before');
      await world.until(() => b.frames.length === 1);
      joined = 'c2';
      a.send('n2', 'after');
      await world.until(() => a.reasons.length > 0);
      expect(a.reasons[0]).toMatch(/^wrong_cluster: /);
      expect(b.frames).toEqual(['n1/0/before']);
    });

    it('F28 keeps the connection of a node that joins the cluster of its peer', async () => {
      let joined: string | null = null;
      const a = await open('n1', { clusterId: () => 'c1' });
      const b = await open('n2', { clusterId: () => joined });
      a.transport.setPeers(peers('n2'));
      b.transport.setPeers(peers('n1'));
      await world.until(() => a.count('n2 up') === 1 && b.count('n1 up') === 1);
      joined = 'c1';
      a.send('n2', 'there');
      b.send('n1', 'back');
      await world.until(() => a.frames.length === 1 && b.frames.length === 1);
      expect(a.events).toEqual(['n2 up']);
      expect(b.events).toEqual(['n1 up']);
    });

    it('F25 refuses a known id that shows another incarnation: dialled by us', async () => {
      const a = await open('n1');
      await open('n2', { incarnation: 'wiped' });
      a.transport.setPeers(peers(['n2', 'original']));
      await world.until(() => a.reasons.length === 1);
      expect(a.reasons[0]).toMatch(/^wrong_incarnation: n2 shows incarnation wiped, n1 knows original/);
      expect(a.send('n2', 'x')).toBe(false);
    });

    it('F24 refuses a known id that shows another incarnation: dialling us', async () => {
      const a = await open('n1');
      const b = await open('n2', { incarnation: 'newcomer' });
      a.transport.setPeers(peers(['n2', 'original']));
      b.transport.setPeers(peers('n1'));
      await world.until(() => b.reasons.length === 1);
      expect(b.reasons[0]).toMatch(/^wrong_incarnation: n2 shows incarnation newcomer, n1 knows original/);
      expect(b.send('n1', 'x')).toBe(false);
    });

    it('F25 breaks with a connected peer whose incarnation turns out to be another', async () => {
      const [a, b] = await pair();
      a.transport.setPeers(peers(['n2', 'original']));
      await world.until(() => a.reasons.length === 1 && b.reasons.length === 1);
      expect(a.events).toEqual(['n2 up', 'n2 lost', 'n2 refused']);
      expect(b.send('n1', 'x')).toBe(false);
      a.transport.setPeers(peers(['n2', 'n2-first']));
      await world.until(() => a.count('n2 up') === 2 && b.count('n1 up') === 2);
    });

    it('refuses to be another node than the one that was meant', async () => {
      const a = await open('n1');
      await open('n2');
      a.transport.setPeers(new Map([['n3', { address: world.address('n2'), incarnation: null }]]));
      await world.until(() => a.reasons.length === 1);
      expect(a.reasons[0]).toBe('wrong_node: n3 was meant, n2 answers here');
      expect(a.events).toEqual(['n3 refused']);
    });

    it('F24 lets its owner turn a peer away', async () => {
      const a = await open('n1', { admit: (peer) => (peer.node === 'n2' ? 'n2 was removed' : null) });
      const b = await open('n2');
      b.transport.setPeers(peers('n1'));
      await world.until(() => b.reasons.length === 1);
      expect(b.reasons[0]).toBe('not_admitted: n2 was removed');
      expect(a.frames).toEqual([]);
    });

    it('breaks the connection on which a handler found a malformed frame, and no other', async () => {
      const a = await open('n1');
      const c = await open('n3');
      const b = await world.open({ self: 'n2', incarnation: 'n2-first', clusterId: () => 'c1' });
      const good: string[] = [];
      b.onFrame(Channel.Raft, (from, frame) => {
        if (frame.toString() === 'bad') throw new MalformedFrame('no such message');
        good.push(`${from}/${frame.toString()}`);
      });
      a.transport.setPeers(peers('n2'));
      c.transport.setPeers(peers('n2'));
      await world.until(() => a.count('n2 up') === 1 && c.count('n2 up') === 1);
      a.send('n2', 'bad');
      await world.until(() => a.count('n2 up') === 2);
      c.send('n2', 'fine');
      a.send('n2', 'better');
      await world.until(() => good.length === 2);
      expect(good.sort()).toEqual(['n1/better', 'n3/fine']);
      expect(c.events).toEqual(['n2 up']);
    });

    it('F42 bounds what waits for one peer, and takes more once that has gone', async () => {
      const [a, b] = await pair();
      const chunk = 'x'.repeat(1024 * 1024);
      let taken = 0;
      while (taken < 200 && a.send('n2', chunk, Channel.Snapshot)) taken++;
      expect(taken).toBeGreaterThan(0);
      expect(taken).toBeLessThan(200);
      expect(a.send('n2', 'raft is another queue', Channel.Raft)).toBe(true);
      await world.until(() => b.frames.length === taken + 1);
      expect(a.send('n2', chunk, Channel.Snapshot)).toBe(true);
      await world.until(() => b.frames.length === taken + 2);
    });

    it('neither takes nor delivers anything after close, and closes twice', async () => {
      const [a, b] = await pair();
      await a.transport.close();
      await a.transport.close();
      const before = a.frames.length;
      expect(a.send('n2', 'x')).toBe(false);
      b.send('n1', 'late');
      await world.until(() => b.count('n1 gone') === 1);
      expect(a.frames.length).toBe(before);
    });

    it('discovers who listens at an address', async () => {
      const a = await open('n1');
      const b = await open('n2', { clusterId: () => null });
      const n1 = { node: 'n1', incarnation: 'n1-first', clusterId: 'c1' };
      const n2 = { node: 'n2', incarnation: 'n2-first', clusterId: null };
      expect(await ask(a, world.address('n2'))).toEqual(n2);
      expect(await ask(b, world.address('n1'))).toEqual(n1);
      // A list of addresses that all nodes share holds one's own, too.
      expect(await ask(a, world.address('n1'))).toEqual(n1);
    });

    it('discovers nobody where nobody listens, or where there is no address', async () => {
      const b = await open('n2');
      await b.transport.close();
      const a = await open('n1');
      expect(await ask(a, world.address('n2'))).toBeNull();
      expect(await ask(a, 'nowhere')).toBeNull();
    });

    it('makes no peer of the one who discovers, nor of the one discovered, and learns no cluster from either', async () => {
      const learned: string[] = [];
      const onClusterId = (clusterId: string): number => learned.push(clusterId);
      const a = await open('n1', { clusterId: () => null, onClusterId });
      const b = await open('n2');
      expect(await ask(a, world.address('n2'))).not.toBeNull();
      expect(await ask(b, world.address('n1'))).not.toBeNull();
      expect([a.send('n2', 'x'), b.send('n1', 'x')]).toEqual([false, false]);
      expect([...a.events, ...b.events, ...learned]).toEqual([]);
    });

    it('leaves the connections of a peer alone that discovers', async () => {
      const [a, b] = await pair();
      a.send('n2', 'before');
      for (let i = 0; i < 3; i++) expect(await ask(a, world.address('n2'))).toMatchObject({ node: 'n2' });
      a.send('n2', 'after');
      b.send('n1', 'back');
      await world.until(() => b.frames.length === 2 && a.frames.length === 1);
      expect(b.frames).toEqual(['n1/0/before', 'n1/0/after']);
      expect([a.events, b.events]).toEqual([['n2 up'], ['n1 up']]);
    });

    it('F28 discovers nobody of another cluster', async () => {
      const a = await open('n1', { clusterId: () => 'c1' });
      const b = await open('n2', { clusterId: () => 'c2' });
      expect(await ask(a, world.address('n2'))).toBeNull();
      expect(await ask(b, world.address('n1'))).toBeNull();
    });

    it('F24 F25 answers no one who discovers under an id that has another incarnation or was removed', async () => {
      const a = await open('n1', { admit: (peer) => (peer.node === 'n3' ? 'n3 was removed' : null) });
      const b = await open('n2', { incarnation: 'wiped' });
      const c = await open('n3');
      a.transport.setPeers(peers(['n2', 'original']));
      expect(await ask(b, world.address('n1'))).toBeNull();
      expect(await ask(c, world.address('n1'))).toBeNull();
    });

    it('gives up what it discovers when it closes, and discovers nothing afterwards', async () => {
      const a = await open('n1');
      await open('n2');
      const asked = a.transport.discover(world.address('n2'));
      await a.transport.close();
      expect(await asked).toBeNull();
      expect(await a.transport.discover(world.address('n2'))).toBeNull();
    });

    it('has one handler a channel', async () => {
      const a = await open('n1');
      expect(() => a.transport.onFrame(Channel.Raft, () => {})).toThrow(/invariant/);
    });
  });
}
