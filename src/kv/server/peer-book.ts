/**
 * Whom this node talks to: the nodes of its shard map; and, as long as it has none, or one that others say is old, those it
 * was told of otherwise: by its configuration, by what it kept from an earlier life, by the addresses that it was given to
 * join, and by other nodes, who introduce the controller's members to it. A name of a node that has left is turned away.
 */
import type { NodeId, PeerAddress } from '../../raft/index.js';
import type { MapKeeper } from './map-keeper.js';

/** A member of the controller, as other nodes name it. */
export interface Introduced {
  readonly id: NodeId;
  /** `host:port`. */
  readonly peer: string;
}

export interface PeerBookOptions {
  readonly self: NodeId;
  readonly maps: MapKeeper;
  /** From configuration and earlier lives. */
  readonly known: ReadonlyMap<NodeId, PeerAddress>;
  readonly founders: readonly NodeId[];
  readonly changed: (peers: ReadonlyMap<NodeId, PeerAddress>) => void;
}

export class PeerBook {
  readonly #options: PeerBookOptions;
  /** Found at addresses, or said by others. */
  readonly #told = new Map<NodeId, string>();
  /** On their way into the cluster. */
  readonly #invited = new Map<NodeId, PeerAddress>();
  #controllers: readonly NodeId[] = [];
  #toldEpoch = 0;

  constructor(options: PeerBookOptions) {
    this.#options = options;
  }

  peers(): ReadonlyMap<NodeId, PeerAddress> {
    const { self, maps, known } = this.#options;
    const peers = new Map<NodeId, PeerAddress>();
    if (maps.map === null) for (const [node, peer] of known) peers.set(node, peer);
    // Where a node is may have changed since, not which disk it has.
    const told = maps.map === null || this.outdated ? this.#told : [];
    for (const [node, address] of told) peers.set(node, { address, incarnation: peers.get(node)?.incarnation ?? null });
    for (const node of maps.map?.nodes ?? []) {
      peers.set(node.id, { address: node.peer, incarnation: node.incarnation });
      this.#invited.delete(node.id);
    }
    for (const [node, address] of this.#invited) peers.set(node, address);
    peers.delete(self);
    return peers;
  }

  /** Others have named the controller's members of a map that this node has not seen. */
  get outdated(): boolean {
    return this.#toldEpoch > this.#options.maps.epoch;
  }

  /** The controller's members, for a node that hosts none of it. */
  controllers(): readonly NodeId[] {
    const { maps, founders } = this.#options;
    if (this.#controllers.length > 0 && (this.outdated || maps.map === null)) return this.#controllers;
    return maps.map === null
      ? [...founders, ...this.#told.keys()]
      : maps.map.controller.members.map(({ node }) => node);
  }

  /** What another node says of the controller. `epoch`: of the map that it says it by. */
  introduce(controllers: readonly Introduced[], epoch: number): void {
    const { maps } = this.#options;
    if (epoch <= maps.epoch || epoch < this.#toldEpoch || controllers.length === 0) return;
    this.#toldEpoch = epoch;
    this.#controllers = controllers.map(({ id }) => id);
    this.#tell(controllers);
  }

  /** A node was found at an address. */
  found(node: NodeId, address: string): void {
    this.#tell([{ id: node, peer: address }]);
  }

  #tell(nodes: readonly Introduced[]): void {
    const news = nodes.filter(({ id, peer }) => id !== this.#options.self && this.#told.get(id) !== peer);
    for (const { id, peer } of news) this.#told.set(id, peer);
    if (news.length > 0) this.#options.changed(this.peers());
  }

  /** A node that is to join, until the map names it. */
  invite(node: NodeId, address: PeerAddress): void {
    this.#invited.set(node, address);
    this.#options.changed(this.peers());
  }

  isInvited(node: NodeId): boolean {
    return this.#invited.has(node);
  }

  uninvite(node: NodeId): void {
    if (this.#invited.delete(node)) this.#options.changed(this.peers());
  }

  /** Why a node is not listened to, or null. */
  admit(node: NodeId): string | null {
    if (this.#options.maps.map?.gone.includes(node) !== true) return null;
    return `${node} has left this cluster for good; a node that joins needs a new name and an empty data_dir`;
  }
}
