/** The cluster of a run: real processes of this machine, with links, disks and clocks that can be made worse. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Ended, LocalCluster, type LocalNode, type NodeLaunch, type NodePlace } from '../../e2e/local-cluster.js';
import { freePorts } from '../../e2e/ports.js';
import type { SimRandom } from '../../sim/fakes/random.js';
import type { Journal } from '../journal.js';
import type { Links } from '../links/links.js';
import { NamespaceLinks } from '../links/namespace-links.js';
import { ProxyLinks } from '../links/proxy-links.js';
import { FakeClocks } from './fake-clocks.js';
import { Seats } from './seats.js';
import { maySpend, type Site } from './site.js';
import { SmallDisks } from './small-disks.js';
import { Turns } from './turns.js';

export interface LocalSiteOptions {
  readonly nodes: number;
  /** Seats beyond those of the first nodes: where there are some, nodes come and go. */
  readonly spareSeats: number;
  readonly shards: number;
  readonly replicas: number;
  readonly network: 'proxy' | 'namespaces';
  readonly smallDisks: boolean;
  /** Path of libfaketime where clocks are to be wrong, or null. */
  readonly faketime: string | null;
  readonly journal: Journal;
  readonly random: SimRandom;
}

/** What only whoever watches the cluster can tell. */
export interface Knowledge {
  readonly leaders: readonly string[];
  /** Nodes that belong to the cluster, by its newest map. */
  readonly members: readonly string[];
}

export class LocalSite implements Site {
  readonly disks: SmallDisks | null;
  readonly clocks: FakeClocks | null;
  readonly #options: LocalSiteOptions;
  readonly #clockDir: string;
  readonly #turns = new Turns();
  readonly #spent = new Set<string>();
  /** Being drained, or about to be. */
  readonly #leaving = new Set<string>();
  readonly #tolerated = new Set<string>();
  /** Whose end was ordered. */
  readonly #ordered = new Set<string>();
  readonly #paused = new Set<string>();
  #links: Links | null = null;
  #seats: Seats | null = null;
  #cluster: LocalCluster | null = null;
  #closing = false;
  #known: () => Knowledge = () => ({ leaders: [], members: [] });
  /** Names of nodes are numbered, and none is used twice. */
  #named: number;

  private constructor(options: LocalSiteOptions) {
    this.#options = options;
    this.#named = options.nodes;
    this.#clockDir = mkdtempSync(join(tmpdir(), 'quorate-chaos-'));
    this.disks = options.smallDisks ? new SmallDisks() : null;
    this.clocks = options.faketime === null ? null : new FakeClocks(options.faketime, this.#clockDir);
  }

  static async open(options: LocalSiteOptions): Promise<LocalSite> {
    const site = new LocalSite(options);
    try {
      const { nodes, shards, replicas } = options;
      site.#cluster = await LocalCluster.start({
        nodes,
        shards,
        replicas,
        place: (ids) => site.#place(ids),
        prepare: (node) => site.disks?.mount(node.dataDir),
        launch: (id) => site.#launch(id),
        ended: (node, ended) => site.#ended(node, ended),
      });
      return site;
    } catch (error) {
      await site.close();
      throw error;
    }
  }

  async #place(ids: readonly string[]): Promise<readonly NodePlace[]> {
    await this.#links?.close();
    const places = await this.#open(ids.length + this.#options.spareSeats);
    this.#seats = new Seats(places);
    for (const [number, id] of ids.entries()) this.#sit(id, number);
    return places.slice(0, ids.length);
  }

  async #open(count: number): Promise<readonly NodePlace[]> {
    if (this.#options.network === 'namespaces') {
      const links = NamespaceLinks.open(count);
      this.#links = links;
      return links.places();
    }
    const ports = await freePorts(count * 3);
    const places = Array.from({ length: count }, (_, i) => ({
      http: ports[3 * i]!,
      peerPort: ports[3 * i + 1]!,
      proxyPort: ports[3 * i + 2]!,
    }));
    this.#links = await ProxyLinks.open(places, this.#options.random.fork('links'));
    return places.map(({ http, peerPort, proxyPort }) => ({
      http: `127.0.0.1:${http}`,
      peer: `127.0.0.1:${peerPort}`,
      advertisedPeer: `127.0.0.1:${proxyPort}`,
    }));
  }

  #sit(id: string, number: number): void {
    this.seats.sit(id, number);
    this.links.sit(id, number);
  }

  #launch(id: string): NodeLaunch {
    const namespace = this.#links instanceof NamespaceLinks ? this.#links.launch(id) : {};
    return { ...namespace, ...this.clocks?.launch(id), detached: true };
  }

  #ended(node: LocalNode, { code, signal }: Ended): void {
    const { id } = node;
    this.#paused.delete(id);
    // Before the cluster stands, a process that ends is tried again with other ports.
    if (this.#cluster === null || this.#closing || this.#ordered.delete(id)) return;
    const last = this.cluster.logOf(node).trimEnd().split('\n').at(-1) ?? '';
    const how = `${id} ended (${signal ?? `exit code ${code}`}): ${last.slice(0, 300)}`;
    if (this.#spent.has(id) || this.#tolerated.has(id)) this.#options.journal.note(`as expected, ${how}`);
    else this.#options.journal.crash(how);
  }

  get cluster(): LocalCluster {
    if (this.#cluster === null) throw new Error('invariant: the cluster has been started');
    return this.#cluster;
  }

  get links(): Links {
    if (this.#links === null) throw new Error('invariant: the cluster has been started');
    return this.#links;
  }

  get seats(): Seats {
    if (this.#seats === null) throw new Error('invariant: the cluster has been started');
    return this.#seats;
  }

  get ids(): readonly string[] {
    return this.cluster.nodes.map((node) => node.id);
  }

  get targets(): readonly string[] {
    return this.cluster.running.map((node) => node.id).filter((id) => !this.#spent.has(id));
  }

  get spent(): ReadonlySet<string> {
    return this.#spent;
  }

  get leaders(): readonly string[] {
    return this.#known().leaders;
  }

  /** Who watches the cluster tells what it sees. */
  learn(known: () => Knowledge): void {
    this.#known = known;
  }

  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.take(work);
  }

  #node(id: string): LocalNode | undefined {
    return this.cluster.nodes.find((node) => node.id === id);
  }

  dataDir(id: string): string {
    return this.cluster.node(id).dataDir;
  }

  async kill(id: string): Promise<void> {
    const node = this.#node(id);
    if (node === undefined || node.process === null) return;
    this.#ordered.add(id);
    await this.cluster.kill(node);
  }

  start(id: string): void {
    const node = this.#node(id);
    if (node?.process === null) this.cluster.startNode(node);
  }

  pause(id: string): void {
    this.#paused.add(id);
    this.#node(id)?.process?.kill('SIGSTOP');
  }

  resume(id: string): void {
    this.#paused.delete(id);
    this.#node(id)?.process?.kill('SIGCONT');
  }

  spend(id: string): boolean {
    const { replicas, spareSeats } = this.#options;
    const roster = spareSeats === 0 ? null : { members: this.#known().members, leaving: this.#leaving };
    if (!maySpend(id, { spent: this.#spent, replicas, roster })) return false;
    this.#spent.add(id);
    return true;
  }

  tolerateEnd(id: string, tolerated: boolean): void {
    if (tolerated) this.#tolerated.add(id);
    else this.#tolerated.delete(id);
  }

  /** A node with a new name sits down in the vacant seat, and asks those that are there to take it in. */
  seat(): Promise<{ readonly id: string; readonly peer: string }> {
    return this.alone(async () => {
      const number = this.seats.vacant;
      if (number === null) throw new Error('invariant: a seat is vacant');
      const id = `n${++this.#named}`;
      const { peers } = this.seats;
      const place = this.seats.placeOf(number);
      this.#sit(id, number);
      this.cluster.joinAt(id, place, peers);
      return { id, peer: place.advertisedPeer ?? place.peer };
    });
  }

  /** Told before the cluster is: from now on it does not count among those that stay. */
  leaves(id: string): void {
    this.#leaving.add(id);
  }

  /** It has left the cluster: its process ends, its files go, its seat is vacant. */
  vacate(id: string): Promise<void> {
    return this.alone(async () => {
      const node = this.cluster.node(id);
      await this.kill(id);
      this.disks?.unmount(node.dataDir);
      this.cluster.forget(node);
      this.seats.leave(id);
      this.links.leave(id);
      for (const set of [this.#spent, this.#leaving, this.#tolerated, this.#paused]) set.delete(id);
    });
  }

  /** Nothing is left: no process, no mount, no file. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#cluster !== null) await Promise.all(this.#cluster.nodes.map((node) => this.kill(node.id)));
    this.disks?.close();
    await this.#links?.close();
    await this.#cluster?.close();
    rmSync(this.#clockDir, { recursive: true, force: true });
  }

  /** The same without waiting, for a process that ends now. */
  abandon(): void {
    this.#closing = true;
    for (const node of this.#cluster?.nodes ?? []) node.process?.kill('SIGKILL');
    this.disks?.close();
    rmSync(this.#clockDir, { recursive: true, force: true });
    if (this.#cluster !== null) rmSync(this.#cluster.dir, { recursive: true, force: true });
  }
}
