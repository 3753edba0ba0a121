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
import { expendable, type Site } from './site.js';
import { SmallDisks } from './small-disks.js';

export interface LocalSiteOptions {
  readonly nodes: number;
  readonly shards: number;
  readonly replicas: number;
  readonly network: 'proxy' | 'namespaces';
  readonly smallDisks: boolean;
  /** Path of libfaketime where clocks are to be wrong, or null. */
  readonly faketime: string | null;
  readonly journal: Journal;
  readonly random: SimRandom;
}

export class LocalSite implements Site {
  readonly disks: SmallDisks | null;
  readonly clocks: FakeClocks | null;
  readonly #options: LocalSiteOptions;
  readonly #clockDir: string;
  readonly #spent = new Set<string>();
  readonly #tolerated = new Set<string>();
  /** Whose end was ordered. */
  readonly #ordered = new Set<string>();
  readonly #paused = new Set<string>();
  #links: Links | null = null;
  #cluster: LocalCluster | null = null;
  #closing = false;
  #leaders: () => readonly string[] = () => [];

  private constructor(options: LocalSiteOptions) {
    this.#options = options;
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
    if (this.#options.network === 'namespaces') {
      const links = NamespaceLinks.open(ids);
      this.#links = links;
      return links.places();
    }
    const ports = await freePorts(ids.length * 3);
    const nodes = ids.map((id, i) => ({
      id,
      http: ports[3 * i]!,
      peerPort: ports[3 * i + 1]!,
      proxyPort: ports[3 * i + 2]!,
    }));
    this.#links = await ProxyLinks.open(nodes, this.#options.random.fork('links'));
    return nodes.map(({ http, peerPort, proxyPort }) => ({
      http: `127.0.0.1:${http}`,
      peer: `127.0.0.1:${peerPort}`,
      advertisedPeer: `127.0.0.1:${proxyPort}`,
    }));
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
    return this.#leaders();
  }

  /** Who watches the cluster tells who leads. */
  learnLeaders(leaders: () => readonly string[]): void {
    this.#leaders = leaders;
  }

  dataDir(id: string): string {
    return this.cluster.node(id).dataDir;
  }

  async kill(id: string): Promise<void> {
    const node = this.cluster.node(id);
    if (node.process === null) return;
    this.#ordered.add(id);
    await this.cluster.kill(node);
  }

  start(id: string): void {
    const node = this.cluster.node(id);
    if (node.process === null) this.cluster.startNode(node);
  }

  pause(id: string): void {
    this.#paused.add(id);
    this.cluster.node(id).process?.kill('SIGSTOP');
  }

  resume(id: string): void {
    this.#paused.delete(id);
    this.cluster.node(id).process?.kill('SIGCONT');
  }

  spend(id: string): boolean {
    if (!this.#spent.has(id) && this.#spent.size >= expendable(this.#options.replicas)) return false;
    this.#spent.add(id);
    return true;
  }

  tolerateEnd(id: string, tolerated: boolean): void {
    if (tolerated) this.#tolerated.add(id);
    else this.#tolerated.delete(id);
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
