/**
 * Links of network namespaces: one for each place where a node can be, joined by veth pairs and a bridge, all inside the private
 * namespace of this run (`site/isolation.ts`), so that the kernel takes everything away with the last process.
 *
 * A direction is cut by giving the sender a hardware address for the receiver that nobody has: its packets go out and
 * arrive nowhere, silently, also those of connections that are up. No firewall is needed. Where the kernel has netem, links
 * can be slow and lossy too.
 */
import { mkdirSync } from 'node:fs';
import type { NodeLaunch, NodePlace } from '../../e2e/local-cluster.js';
import { command, succeeds } from './commands.js';
import { type Direction, directionName, directionOf, FAIR, type Links, touches, type Weather } from './links.js';

const BRIDGE = 'chaos0';
/** RFC 2544: for tests, never routed. The namespace is private anyway. */
const NETWORK = '198.18.0';
const HUB = 254;
const HTTP_PORT = 7001;
const PEER_PORT = 7101;
const NOBODY = '02:00:00:00:ff:ff';

const namespaceOf = (number: number): string => `place${number}`;
const macOf = (number: number): string => `02:00:00:00:00:${number.toString(16).padStart(2, '0')}`;
const ipOf = (number: number): string => `${NETWORK}.${number}`;

/** Whether this kernel can delay and lose packets; asked of the loopback of the private namespace. */
export function hasNetem(): boolean {
  if (!succeeds('tc', 'qdisc', 'add', 'dev', 'lo', 'root', 'netem', 'delay', '1ms')) return false;
  command('tc', 'qdisc', 'del', 'dev', 'lo', 'root');
  return true;
}

export class NamespaceLinks implements Links {
  readonly kind = 'namespaces';
  readonly shapes: boolean;
  /** Of all places, from one on. */
  readonly #all: readonly number[];
  /** Who is there now. */
  readonly #numbers = new Map<string, number>();
  readonly #weather = new Map<string, Weather>();

  private constructor(count: number, shapes: boolean) {
    this.#all = Array.from({ length: count }, (_, i) => i + 1);
    this.shapes = shapes;
  }

  /** To be called within the private namespace only. */
  static open(places: number): NamespaceLinks {
    const links = new NamespaceLinks(places, hasNetem());
    // Names of namespaces are files: on a file system of our own, which nobody has to tidy up.
    mkdirSync('/run/netns', { recursive: true });
    command('mount', '-t', 'tmpfs', 'quorate-chaos', '/run/netns');
    command('ip', 'link', 'add', BRIDGE, 'type', 'bridge');
    command('ip', 'addr', 'add', `${ipOf(HUB)}/24`, 'dev', BRIDGE);
    command('ip', 'link', 'set', BRIDGE, 'address', macOf(HUB), 'up');
    for (const number of links.#all) links.#addPlace(number);
    return links;
  }

  #addPlace(number: number): void {
    const outside = `v${number}`;
    const namespace = namespaceOf(number);
    command('ip', 'netns', 'add', namespace);
    command('ip', 'link', 'add', outside, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
    command('ip', 'link', 'set', outside, 'master', BRIDGE, 'up');
    command('ip', '-n', namespace, 'link', 'set', 'lo', 'up');
    command('ip', '-n', namespace, 'link', 'set', 'eth0', 'address', macOf(number), 'up');
    command('ip', '-n', namespace, 'addr', 'add', `${ipOf(number)}/24`, 'dev', 'eth0');
    for (const other of this.#all) if (other !== number) neighbour(number, other, false);
  }

  #neighbour({ from, to }: Direction, cut: boolean): void {
    neighbour(this.#number(from), this.#number(to), cut);
  }

  #number(id: string): number {
    const number = this.#numbers.get(id);
    if (number === undefined) throw new Error(`invariant: no node ${id} in this network`);
    return number;
  }

  places(): NodePlace[] {
    return this.#all.map((number) => ({
      http: `${ipOf(number)}:${HTTP_PORT}`,
      peer: `${ipOf(number)}:${PEER_PORT}`,
    }));
  }

  sit(id: string, place: number): void {
    this.#numbers.set(id, this.#all[place]!);
  }

  leave(id: string): void {
    this.#clear((direction) => touches(id, direction));
    this.#numbers.delete(id);
  }

  launch(id: string): NodeLaunch {
    return { prefix: ['nsenter', `--net=/run/netns/${namespaceOf(this.#number(id))}`] };
  }

  async set(directions: readonly Direction[], weather: Partial<Weather>): Promise<void> {
    for (const direction of directions) {
      const name = directionName(direction);
      const before = this.#weather.get(name) ?? FAIR;
      const now = { ...before, ...weather };
      this.#weather.set(name, now);
      if (now.cut !== before.cut) this.#neighbour(direction, now.cut);
    }
    if (this.shapes) for (const id of new Set(directions.map(({ from }) => from))) this.#shape(id);
  }

  /** netem works on all that a node sends: the worst of its directions decides. */
  #shape(id: string): void {
    const all = [...this.#weather].filter(([name]) => name.startsWith(`${id}→`)).map(([, weather]) => weather);
    const most = (of: (weather: Weather) => number): number => Math.max(0, ...all.map(of));
    const [delay_ms, jitter_ms, loss] = [most((w) => w.delay_ms), most((w) => w.jitter_ms), most((w) => w.loss)];
    const netem = ['netem', 'delay', `${delay_ms}ms`, `${jitter_ms}ms`, 'loss', `${loss * 100}%`];
    const namespace = namespaceOf(this.#number(id));
    command('ip', 'netns', 'exec', namespace, 'tc', 'qdisc', 'replace', 'dev', 'eth0', 'root', ...netem);
  }

  async heal(): Promise<void> {
    this.#clear(() => true);
  }

  #clear(which: (direction: Direction) => boolean): void {
    const shaped = new Set<string>();
    for (const [name, { cut }] of [...this.#weather]) {
      const direction = directionOf(name);
      if (!which(direction)) continue;
      if (cut) this.#neighbour(direction, false);
      this.#weather.delete(name);
      shaped.add(direction.from);
    }
    if (this.shapes) for (const id of shaped) this.#shape(id);
  }

  /** The kernel would do it too, once the last process of the run has ended. */
  async close(): Promise<void> {
    for (const number of this.#all) succeeds('ip', 'netns', 'del', namespaceOf(number));
    succeeds('ip', 'link', 'del', BRIDGE);
    succeeds('umount', '/run/netns');
  }
}

function neighbour(from: number, to: number, cut: boolean): void {
  const entry = ['lladdr', cut ? NOBODY : macOf(to), 'dev', 'eth0', 'nud', 'permanent'];
  command('ip', '-n', namespaceOf(from), 'neigh', 'replace', ipOf(to), ...entry);
}
