/**
 * How a node gets into a running cluster: it asks at the addresses that it was given who is there, and says hello to
 * whoever that is, until the map names it. Whoever hears the hello of a node that wants to join registers it with the
 * controller; a node whose name is used or has left is refused there (F24, F25).
 */
import type { Clock, EventSink, NodeId, Timer, Transport } from '../../raft/index.js';
import type { NodeEntry } from '../../shardctrl/index.js';
import type { ControllerCaller } from './controller-caller.js';
import type { MapKeeper } from './map-keeper.js';
import type { PeerBook } from './peer-book.js';

const EVERY_MS = 1_000;
const REGISTER_MS = 2_000;

export interface JoinerOptions {
  readonly self: NodeId;
  /** `host:port`; none: this node founds a cluster, or knows its peers. */
  readonly addresses: readonly string[];
  readonly clock: Clock;
  readonly transport: Transport;
  readonly maps: MapKeeper;
  readonly book: PeerBook;
  readonly controller: Pick<ControllerCaller, 'propose'>;
  readonly event: EventSink;
  readonly failed: (error: unknown) => void;
}

export class Joiner {
  readonly #options: JoinerOptions;
  readonly #registering = new Set<NodeId>();
  /** What the controller said last to whom; told once. */
  readonly #refused = new Map<NodeId, string>();
  #timer: Timer | null = null;
  #closed = false;

  constructor(options: JoinerOptions) {
    this.#options = options;
    if (options.addresses.length > 0) this.#round();
  }

  /** This node is not part of the cluster yet, as far as it knows. */
  get joins(): boolean {
    const { addresses, maps, self } = this.#options;
    return addresses.length > 0 && maps.map?.nodes.some((node) => node.id === self) !== true;
  }

  #round(): void {
    if (this.#closed || !this.joins) return;
    const { addresses, clock, transport, book, failed } = this.#options;
    for (const address of addresses) {
      transport.discover(address).then((found) => {
        if (found !== null && !this.#closed) book.found(found.node, address);
      }, failed);
    }
    this.#timer = clock.after(EVERY_MS, () => this.#round());
  }

  /** A node that the map does not name has said hello. */
  register(node: NodeEntry): void {
    const { controller, failed } = this.#options;
    if (this.#registering.has(node.id)) return;
    this.#registering.add(node.id);
    controller
      .propose({ kind: 'register_node', node }, REGISTER_MS)
      .then((answer) => {
        if (answer.kind !== 'result') return;
        if (answer.result.kind === 'refused') this.#turnedDown(node.id, answer.result.reason);
        else this.forget(node.id);
      })
      .catch(failed)
      .finally(() => this.#registering.delete(node.id));
  }

  #turnedDown(node: NodeId, reason: string): void {
    if (this.#refused.get(node) === reason) return;
    this.#refused.set(node, reason);
    this.#options.event('warn', `a node cannot join: ${reason}`, { node });
  }

  /** It may be another one by now. */
  forget(node: NodeId): void {
    this.#refused.delete(node);
  }

  /** Why the controller would not have this node, as far as it was asked here; null: it was not, or has taken it. */
  refusalOf(node: NodeId): string | null {
    return this.#refused.get(node) ?? null;
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }
}
