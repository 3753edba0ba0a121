/**
 * One node without the outside: replicas, routing, the controller's driver and the chores, wired over ports. The
 * composition root gives it real ones; HTTP stands in front of it.
 */
import {
  type Clock,
  type EventSink,
  type GroupId,
  type LogStorage,
  type NodeId,
  type PeerAddress,
  type RaftSettings,
  type Random,
  ReplicaHost,
  type StateEngines,
  type Transport,
} from '../../raft/index.js';
import { ControllerStateMachine, controllerMembers, type NodeEntry, type ShardMap } from '../../shardctrl/index.js';
import type { NodeWork } from '../migration/index.js';
import { KvStateMachine } from '../store/index.js';
import { AdminServiceImpl } from './admin-service.js';
import type { AdminService, KvService } from './api.js';
import { BalanceService } from './balance-service.js';
import { ClusterClock } from './cluster-clock.js';
import { CONTROLLER, ControllerCaller, type MapAnswer } from './controller-caller.js';
import { ControllerKeeper } from './controller-keeper.js';
import { Departure, untilDeparted } from './departure.js';
import { ForwardService } from './forward-service.js';
import { GroupKeeper } from './group-keeper.js';
import { handOver } from './hand-over.js';
import { type Hello, HelloService } from './hello.js';
import { Joiner } from './joiner.js';
import { Leaders } from './leaders.js';
import { ListService } from './list-service.js';
import { LoadMeter } from './load-meter.js';
import { LoadService } from './load-service.js';
import { MapKeeper } from './map-keeper.js';
import { MapWatcher } from './map-watcher.js';
import { MembersService } from './members-service.js';
import { PairWatch } from './pair-watch.js';
import { type Introduced, PeerBook } from './peer-book.js';
import { Router } from './router.js';
import { Rpc } from './rpc.js';
import { ShardCaller } from './shard-caller.js';
import { ShardKeeper } from './shard-keeper.js';
import { ShardPortAdapter } from './shard-port-adapter.js';
import { ShardService } from './shard-service.js';
import { StampClock } from './stamp-clock.js';
import { VerifyAdmin } from './verify/verify-admin.js';
import { ViewService } from './verify/view-service.js';

export interface NodePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: LogStorage;
  readonly transport: Transport;
  readonly engines: StateEngines;
  /** For how long this process's event loop has been at work, milliseconds. */
  readonly busy_ms: () => number;
}

export interface NodeSetup {
  readonly self: NodeEntry;
  /** null until the cluster has been made. */
  readonly clusterId: string | null;
  /** The new cluster that this node is a part of; peer addresses by node. Ignored where the log holds one already. */
  readonly bootstrap: {
    readonly nodes: ReadonlyMap<NodeId, string>;
    readonly shards: number;
    /** null: three, or as many as there are nodes, and up to three when more nodes join. */
    readonly replicas: number | null;
  } | null;
  /** Peer addresses `host:port` of a running cluster that this node is to join. */
  readonly join?: readonly string[];
  /** As `NodeHooks.peers` was told them in an earlier life. */
  readonly knownPeers?: ReadonlyMap<NodeId, PeerAddress>;
  readonly raft: RaftSettings;
  readonly maxOperations: number;
}

export interface NodeHooks {
  readonly event: EventSink;
  /** The node can't go on. */
  readonly fatal: (error: Error) => void;
  /** Must be durable when it returns. */
  readonly joined: (clusterId: string) => void;
  /** Peer addresses of the cluster's other nodes, with each new map; mostly the same as before. Must be durable when it returns. */
  readonly peers?: (peers: ReadonlyMap<NodeId, PeerAddress>) => void;
}

/**
 * Why this node must not go on with what its disk holds, or null. One that belongs to a cluster has had a log before it learned
 * the cluster's id. Without it votes and entries are lost that it has confirmed: an empty one in its place would confirm
 * others (F25).
 */
function refusalToStart(setup: NodeSetup, log: LogStorage, host: ReplicaHost): string | null {
  const { self, clusterId, bootstrap, join, knownPeers } = setup;
  if (clusterId === null) return null;
  if (log.fresh) {
    return `${self.id} belongs to cluster ${clusterId}, but its log is lost. Put the log back, or remove the node from the cluster and let a new one join`;
  }
  const findable = bootstrap !== null || (join?.length ?? 0) > 0 || (knownPeers?.size ?? 0) > 0;
  if (findable || host.get(CONTROLLER) !== undefined) return null;
  return `${self.id} hosts no replica of the controller and knows no other node: it cannot find cluster ${clusterId}. Give bootstrap or join`;
}

/** What this node tells others of the controller. */
const introduction = (map: ShardMap | null): readonly Introduced[] =>
  (map?.controller.members ?? []).flatMap((member) => {
    const node = map?.nodes.find((entry) => entry.id === member.node);
    return node === undefined ? [] : [{ id: node.id, peer: node.peer }];
  });

/** Of a node that nobody wants to hear of any more. */
const NO_PEERS: ReturnType<PeerBook['peers']> = new Map();

/** A transfer takes a round trip or two; longer than this nobody is there to take over. */
const HAND_OVER_MS = 1_000;

export class ClusterNode {
  readonly kv: KvService;
  readonly admin: AdminService;
  readonly host: ReplicaHost;
  readonly maps: MapKeeper;
  readonly router: Router;
  readonly load: LoadMeter;
  readonly #closers: (() => void)[];
  readonly #handOver: () => Promise<void>;
  readonly #admit: (node: NodeId) => string | null;

  private constructor(parts: {
    kv: KvService;
    admin: AdminService;
    host: ReplicaHost;
    maps: MapKeeper;
    router: Router;
    load: LoadMeter;
    admit: (node: NodeId) => string | null;
    closers: (() => void)[];
    handOver: () => Promise<void>;
  }) {
    this.kv = parts.kv;
    this.admin = parts.admin;
    this.host = parts.host;
    this.maps = parts.maps;
    this.router = parts.router;
    this.load = parts.load;
    this.#closers = parts.closers;
    this.#handOver = parts.handOver;
    this.#admit = parts.admit;
  }

  /** Why a peer that dials us must not be listened to, or null. */
  admit(node: NodeId): string | null {
    return this.#admit(node);
  }

  static async start(setup: NodeSetup, ports: NodePorts, hooks: NodeHooks): Promise<ClusterNode> {
    const { clock, transport } = ports;
    const self = setup.self.id;
    const failed = (error: unknown): void =>
      hooks.event('error', 'a background task failed', { error: error instanceof Error ? error.stack : String(error) });
    const rpc = new Rpc(transport, clock, ports.random);
    const maps = new MapKeeper();
    const otherNodes = (): number => (maps.map?.nodes.length ?? setup.bootstrap?.nodes.size ?? 1) - 1;
    const clusterClock = new ClusterClock(clock, otherNodes);
    const stamps = new Map<GroupId, StampClock>();
    const stampOf = (group: GroupId): StampClock => {
      const stamp =
        stamps.get(group) ??
        new StampClock(clusterClock, () => (group === CONTROLLER ? controllerNodes() : maps.membersOf(group)));
      stamps.set(group, stamp);
      return stamp;
    };

    const changedListeners: ((group: GroupId) => void)[] = [];
    const host = await ReplicaHost.open({
      clock,
      random: ports.random,
      log: ports.log,
      transport,
      engines: ports.engines,
      settings: setup.raft,
      newMachine: (group) => (group === CONTROLLER ? new ControllerStateMachine() : new KvStateMachine()),
      changed: (group) => {
        for (const listener of changedListeners) listener(group);
      },
      fatal: hooks.fatal,
      event: hooks.event,
    });
    const refusal = refusalToStart(setup, ports.log, host);
    if (refusal !== null) {
      await host.close();
      throw new Error(refusal);
    }
    const leaders = new Leaders(self, () => host);
    const founders = controllerMembers(setup.bootstrap?.nodes.keys() ?? []).map(({ node, replica }) => ({
      id: replica,
      node,
    }));
    const configured = [...(setup.bootstrap?.nodes ?? [])].map(
      ([node, address]) => [node, { address, incarnation: null }] as const,
    );
    const book = new PeerBook({
      self,
      maps,
      known: new Map([...configured, ...(setup.knownPeers ?? [])]),
      founders: founders.map(({ node }) => node),
      changed: () => transport.setPeers(peers()),
    });
    const departure = new Departure({
      self,
      host,
      event: hooks.event,
      left: () => {
        transport.setPeers(peers());
        joiner.close();
      },
    });
    const peers = (): ReturnType<PeerBook['peers']> => (departure.reason === null ? book.peers() : NO_PEERS);
    const controllerNodes = (): readonly NodeId[] => {
      // A replica that is being filled does not know yet with whom it shares the group; one that was left behind, not any more.
      const replica = host.get(CONTROLLER);
      const voters = replica?.damage === null ? replica.conf.voters : [];
      return voters.length === 0 || book.outdated ? book.controllers() : voters.map((member) => member.node);
    };
    const controller = new ControllerCaller({
      self,
      clock,
      host,
      rpc,
      leaders,
      members: controllerNodes,
      stamp: stampOf(CONTROLLER),
      failed,
    });
    let shardService: ShardService;
    const caller = new ShardCaller({ self, clock, rpc, maps, leaders, local: () => shardService });
    const slotsChanged = (): void => router.wake();
    const work: NodeWork = { requests: () => router.taken + forwards.taken, busy_ms: ports.busy_ms };
    const undisturbed = (): Promise<void> => shardService.nothingFrozen();
    const views = new ViewService({ clock, host, rpc, undisturbed, failed });
    const reclaiming = (shard: GroupId): void => views.giveWay(shard);
    shardService = new ShardService({
      host,
      rpc,
      clock,
      stampOf,
      caller,
      slotsChanged,
      work,
      reclaiming,
      failed,
    });
    const members = new MembersService({ host, clock, rpc, failed });
    const down = (node: NodeId): boolean => node !== self && hello.state(node) === 'down';
    const meter = new LoadMeter(clock, ports.random);
    const loads = new LoadService({ self, host, rpc, meter, down, failed });
    const balance = new BalanceService({ clock, host, rpc, caller, driver: () => controllerKeeper.balance, failed });
    const shardPort = new ShardPortAdapter({
      self,
      clock,
      host,
      rpc,
      maps,
      caller,
      members,
      down,
      failed,
    });
    const forwards = new ForwardService({ host, rpc, load: meter, stampOf });
    const router = new Router({
      self,
      clock,
      host,
      rpc,
      maps,
      leaders,
      clusterClock,
      load: meter,
      stampOf,
      attempt_ms: Math.max(500, setup.raft.election_timeout_ms),
      maxOperations: setup.maxOperations,
      away: (shard) => hello.away(maps.membersOf(shard)),
    });
    const lists = new ListService({ self, clock, clusterClock, host, rpc, maps, leaders, failed });
    const newestMap = async (timeout_ms: number): Promise<MapAnswer | null> => {
      const answer = await controller.map(null, timeout_ms);
      return answer === 'missing' ? null : answer;
    };
    const groups = new GroupKeeper({ self, clock, host, maps, newestMap, failed });
    const watcher = new MapWatcher({ clock, host, maps, controller, failed });

    let clusterId = setup.clusterId;
    const joiner = new Joiner({
      self,
      addresses: setup.join ?? [],
      clock,
      transport,
      maps,
      book,
      controller,
      event: hooks.event,
      failed,
    });
    const hello = new HelloService({
      clock,
      clusterClock,
      rpc,
      own: (): Hello => ({
        node: setup.self,
        wall_ms: clock.wall_ms(),
        clusterId,
        epoch: maps.epoch,
        controllerLeader: leaders.known(CONTROLLER),
        controllers: introduction(maps.map),
        joins: joiner.joins,
      }),
      peers: () => [...peers().keys()],
      stranger: (word) => {
        const member = maps.map?.nodes.some((node) => node.id === self) === true;
        if (member && word.joins) joiner.register(word.node);
        // It has come to fetch us: its word is all we have.
        else if (joiner.joins && word.clusterId !== null) book.found(word.node.id, word.node.peer);
      },
      heard: (word) => {
        book.introduce(word.controllers, word.epoch);
        if (word.joins && book.isInvited(word.node.id)) joiner.register(word.node);
        const knowsBetter = host.get(CONTROLLER) === undefined || word.epoch > maps.epoch;
        if (word.controllerLeader !== null && word.controllerLeader !== self && knowsBetter) {
          leaders.hint(CONTROLLER, word.controllerLeader);
        }
        watcher.heardOf(word.epoch);
      },
      failed,
    });
    const controllerKeeper = new ControllerKeeper({
      self: setup.self,
      clock,
      random: ports.random,
      host,
      stamp: stampOf(CONTROLLER),
      shards: shardPort,
      loads,
      hello,
      bootstrap: setup.bootstrap,
      event: hooks.event,
      failed,
    });
    const shardKeeper = new ShardKeeper({
      clock,
      host,
      stampOf,
      work,
      undisturbed,
      firstSlots: async (shard) => {
        const first = await controller.map(1, 1_000);
        if (first === null || first === 'missing') return null;
        // What is left of a retired shard must never serve again what the shard was once given.
        if (first.retired.includes(shard)) return [];
        return first.map.shards.find((entry) => entry.id === shard)?.slots ?? [];
      },
      failed,
    });

    const tellPeers = (map: ShardMap): void => {
      const others = map.nodes.filter((node) => node.id !== self);
      try {
        hooks.peers?.(new Map(others.map(({ id, peer, incarnation }) => [id, { address: peer, incarnation }])));
      } catch (error) {
        hooks.fatal(error instanceof Error ? error : new Error(String(error)));
      }
    };
    maps.onChange(() => {
      const map = maps.map!;
      if (clusterId === null) {
        clusterId = map.clusterId;
        try {
          hooks.joined(clusterId);
        } catch (error) {
          hooks.fatal(error instanceof Error ? error : new Error(String(error)));
        }
      }
      if (map.gone.includes(self)) return departure.learn();
      tellPeers(map);
      transport.setPeers(peers());
      // Nodes without a replica of the controller would hear of the new map only with the next second's word.
      if (host.get(CONTROLLER)?.isLeader !== true) return;
      const informed = new Set(controllerNodes());
      for (const peer of peers().keys()) if (!informed.has(peer)) hello.sayTo(peer);
    });
    transport.onPeer((peer, event) => {
      if (event.kind === 'up') hello.sayTo(peer);
      if (event.kind !== 'refused') return;
      // What one of them says all will say, and for good.
      if (event.reason.startsWith('not_admitted')) departure.learn();
      else hooks.event('error', `peer ${peer} refused: ${event.reason}`, { peer });
    });
    changedListeners.push((group) => {
      if (group === CONTROLLER) {
        watcher.controllerChanged();
        controllerKeeper.check();
      }
      router.wake();
    });

    new PairWatch(self, maps, hooks.event);
    transport.setPeers(peers());
    watcher.controllerChanged();
    const own = founders.find((member) => member.node === self);
    if (own !== undefined && clusterId === null && !host.knows(CONTROLLER)) {
      await host.create(CONTROLLER, own.id, founders, own.id === 1);
    }
    const verifier = new VerifyAdmin({
      self,
      clock,
      random: ports.random,
      rpc,
      maps,
      controller,
      caller,
      shards: shardPort,
      views,
      down: (node) => node !== self && hello.state(node) === 'down',
      event: hooks.event,
      failed,
    });
    const admin = new AdminServiceImpl({
      self,
      clock,
      host,
      maps,
      leaders,
      controller,
      hello,
      rpc,
      transport,
      shards: shardPort,
      book,
      joiner,
      meter,
      loads,
      balance,
      controllerNodes,
      verifier,
      failed,
    });
    const kv: KvService = {
      epoch: () => maps.epoch,
      execute: (request, context, done) => router.execute(request, context, done),
      list: (request, context) => lists.list(request, context),
    };
    return new ClusterNode({
      ...untilDeparted({ kv, admin }, departure),
      host,
      maps,
      router,
      load: meter,
      admit: (node) => book.admit(node),
      handOver: () => handOver(host, clock, self, (node) => hello.state(node) === 'healthy', HAND_OVER_MS),
      closers: [
        () => verifier.close(),
        () => views.close(),
        () => shardKeeper.close(),
        () => controllerKeeper.close(),
        () => joiner.close(),
        () => watcher.close(),
        () => groups.close(),
        () => hello.close(),
        () => router.close(),
        () => meter.close(),
        () => rpc.close(),
      ],
    });
  }

  /** Gives leaderships to other nodes while this one still answers; the first step of a planned stop. */
  handOver(): Promise<void> {
    return this.#handOver();
  }

  /** Ends what runs here. Transport, log and engines belong to the caller. */
  async close(): Promise<void> {
    for (const close of this.#closers) close();
    await this.host.close();
  }
}
