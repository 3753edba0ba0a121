/** The proxies between nodes: they know who speaks, and do to each direction exactly what was asked. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeHello } from '../../../src/raft/transport/handshake.js';
import { freePorts } from '../../e2e/ports.js';
import { until } from '../../e2e/until.js';
import { SimRandom } from '../../sim/fakes/random.js';
import { pause } from '../pause.js';
import { bothWays } from './links.js';
import { ProxyLinks } from './proxy-links.js';

const HOLD_MS = 150;

/** A node of which only its port matters: keeps what arrives, and sends it back. */
class Echo {
  readonly server: Server;
  readonly sockets = new Set<Socket>();
  received = '';

  constructor() {
    this.server = createServer((socket) => {
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => {
        this.received += chunk.toString('latin1');
        socket.write(chunk);
      });
    });
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }
}

/** The other end: says hello as the node that it is. */
class Dialler {
  readonly socket: Socket;
  echoed = '';
  closed = false;

  constructor(port: number, from: string) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.closed = true;
    });
    this.socket.on('data', (chunk: Buffer) => {
      this.echoed += chunk.toString('latin1');
    });
    this.socket.write(encodeHello({ clusterId: 'c', node: from, incarnation: '00', target: 'n2' }));
  }
}

let echo: Echo;
let links: ProxyLinks;
let proxyPort: number;
const diallers: Dialler[] = [];

beforeEach(async () => {
  const [peerPort = 0, front = 0] = await freePorts(2);
  echo = new Echo();
  await new Promise<void>((done) => echo.server.listen(peerPort, '127.0.0.1', done));
  links = await ProxyLinks.open([{ proxyPort: front, peerPort }], new SimRandom('proxy test'));
  links.sit('n2', 0);
  proxyPort = front;
});
afterEach(async () => {
  for (const { socket } of diallers.splice(0)) socket.destroy();
  await links.close();
  echo.close();
});

async function dialled(from: string): Promise<Dialler> {
  const dialler = new Dialler(proxyPort, from);
  diallers.push(dialler);
  await until(`the greeting of ${from} to arrive`, 2_000, async () => echo.received.includes(from));
  await until('its echo', 2_000, async () => dialler.echoed.includes(from));
  return dialler;
}

/** Nobody is behind it: whoever dials is turned away. */
async function refused(port: number): Promise<void> {
  const dialler = new Dialler(port, 'n1');
  diallers.push(dialler);
  await until('to be turned away', 2_000, async () => dialler.closed);
  expect(dialler.echoed).toBe('');
}

const seen = (what: () => string, text: string): Promise<boolean> =>
  until(`${text} to arrive`, 2_000, async () => what().includes(text));

describe('links through proxies', () => {
  it('pass bytes on, greeting included, both ways', async () => {
    const n1 = await dialled('n1');
    n1.socket.write('hello');
    await seen(() => n1.echoed, 'hello');
    expect(echo.received.endsWith('hello')).toBe(true);
  });

  it('hold back one direction without breaking anything, and deliver in order when healed', async () => {
    const n1 = await dialled('n1');
    await links.set([{ from: 'n1', to: 'n2' }], { cut: true });
    n1.socket.write('first ');
    n1.socket.write('second');
    await pause(HOLD_MS);
    expect(echo.received).not.toContain('first');
    for (const socket of echo.sockets) socket.write('the other way');
    await seen(() => n1.echoed, 'the other way');
    await links.heal();
    await seen(() => echo.received, 'first second');
    expect(n1.closed).toBe(false);
  });

  it('cut by who speaks, though all dial the same port', async () => {
    const [n1, n3] = [await dialled('n1'), await dialled('n3')];
    await links.set(bothWays(['n1'], ['n2']), { cut: true });
    n1.socket.write('from one');
    n3.socket.write('from three');
    await seen(() => echo.received, 'from three');
    await pause(HOLD_MS);
    expect(echo.received).not.toContain('from one');
  });

  it('let nobody in through a cut, also not by a new connection', async () => {
    await links.set(bothWays(['n1'], ['n2']), { cut: true });
    const n1 = new Dialler(proxyPort, 'n1');
    diallers.push(n1);
    await pause(HOLD_MS);
    expect(echo.received).toBe('');
    await links.heal();
    await seen(() => echo.received, 'n1');
  });

  it('are slow when they are to be', async () => {
    const n1 = await dialled('n1');
    await links.set([{ from: 'n1', to: 'n2' }], { delay_ms: 200 });
    const sent_ms = performance.now();
    n1.socket.write('late');
    await seen(() => echo.received, 'late');
    expect(performance.now() - sent_ms).toBeGreaterThanOrEqual(195);
  });

  it('break connections and make pieces late when they are lossy, but never lose or mix bytes of one that goes on', async () => {
    const n1 = await dialled('n1');
    await links.set([{ from: 'n1', to: 'n2' }], { loss: 0.5 });
    const pieces = Array.from({ length: 20 }, (_, i) => `<${i}>`);
    for (const piece of pieces) {
      n1.socket.write(piece);
      await pause(5);
    }
    await seen(() => echo.received, pieces.join(''));
    await links.set([{ from: 'n1', to: 'n2' }], { reset: 1 });
    n1.socket.write('the last');
    await until('a broken connection', 2_000, async () => n1.closed);
    expect(echo.received).not.toContain('the last');
  });

  it('end with the node that was there, and know who is there next', async () => {
    const [n1, early] = [await dialled('n1'), await dialled('n3')];
    await links.set(bothWays(['n1'], ['n2']), { cut: true });
    n1.socket.write('held back');
    await pause(HOLD_MS);
    links.leave('n2');
    await until('broken connections', 2_000, async () => n1.closed && early.closed);
    await refused(proxyPort);
    links.sit('n4', 0);
    echo.received = '';
    // What cut n2 off does not cut off n4.
    await dialled('n1');
    expect(echo.received).not.toContain('held back');
    await links.set([{ from: 'n3', to: 'n4' }], { cut: true });
    const n3 = new Dialler(proxyPort, 'n3');
    diallers.push(n3);
    await pause(HOLD_MS);
    expect(echo.received).not.toContain('n3');
  });

  it('have no patience with strangers', async () => {
    const stranger = connect(proxyPort, '127.0.0.1');
    const ended = new Promise((done) => stranger.once('close', done));
    stranger.on('error', () => undefined);
    stranger.write('GET / HTTP/1.1\r\n\r\n');
    await ended;
    expect(echo.received).toBe('');
  });

  it('hold little back: whoever sends on into a cut is not read any more', async () => {
    const n1 = await dialled('n1');
    await links.set([{ from: 'n1', to: 'n2' }], { cut: true });
    const block = Buffer.alloc(8 * 1024 * 1024, 'x');
    n1.socket.write(block);
    await pause(HOLD_MS);
    expect(n1.socket.writableLength).toBeGreaterThan(0);
    await links.heal();
    await until('all of it', 5_000, async () => echo.received.length > block.length);
  });
});
