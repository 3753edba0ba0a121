/**
 * The chores of the controller's leader: the first entry of a new cluster, nodes whose addresses have changed, and the
 * driver of the plan. All of it stops with the leadership; what matters is in the controller's log.
 */
import type { Clock, EventSink, NodeId, Random, Replica, ReplicaHost, Timer } from '../../raft/index.js';
import {
  BalanceDriver,
  type ControllerCommand,
  type ControllerPort,
  type ControllerProposed,
  type ControllerResult,
  type ControllerStateMachine,
  encodeControllerCommand,
  type LoadPort,
  MemberDriver,
  type NodeEntry,
  PlanDriver,
  type ShardPort,
} from '../../shardctrl/index.js';
import { balanceSentence } from './balance-view.js';
import { CONTROLLER } from './controller-caller.js';
import type { HelloService } from './hello.js';
import type { StampClock } from './stamp-clock.js';
import { propose, readBarrier } from './waiting.js';

const EVERY_MS = 100;
const CONFIRM_MS = 2_000;
/** How long a node has been there again before leaderships come back to it. */
const STEADY_MS = 10_000;

export interface ControllerKeeperOptions {
  readonly self: NodeEntry;
  readonly clock: Clock;
  readonly random: Random;
  readonly host: ReplicaHost;
  readonly stamp: StampClock;
  readonly shards: ShardPort;
  readonly loads: LoadPort;
  readonly hello: HelloService;
  readonly bootstrap: {
    readonly nodes: ReadonlyMap<NodeId, string>;
    readonly shards: number;
    readonly replicas: number | null;
  } | null;
  readonly event: EventSink;
  readonly failed: (error: unknown) => void;
}

export class ControllerKeeper {
  readonly #options: ControllerKeeperOptions;
  #driver: PlanDriver | null = null;
  #members: MemberDriver | null = null;
  #balance: BalanceDriver | null = null;
  #driverTerm = 0;
  /** The first entry that the controller refused: it would refuse the same again. */
  #refusedFounding: string | null = null;
  #busy = false;
  #closed = false;
  #timer: Timer;

  constructor(options: ControllerKeeperOptions) {
    this.#options = options;
    this.#timer = options.clock.after(EVERY_MS, () => this.#round());
  }

  /** null: this node does not lead the controller. */
  get balance(): BalanceDriver | null {
    return this.#balance;
  }

  #round(): void {
    if (this.#closed) return;
    this.check();
    this.#timer = this.#options.clock.after(EVERY_MS, () => this.#round());
  }

  /** Called when leadership may have changed, and now and then. */
  check(): void {
    const replica = this.#options.host.get(CONTROLLER);
    if (this.#closed || replica === undefined || !replica.leads) {
      this.#stopDriver();
      return;
    }
    if (this.#driver !== null && this.#driverTerm !== replica.term) this.#stopDriver();
    const machine = replica.machine as ControllerStateMachine;
    if (machine.map() !== null && this.#driver === null) this.#startDriver(replica);
    if (this.#busy) return;
    this.#busy = true;
    this.#tend(replica, machine).then(
      () => {
        this.#busy = false;
      },
      (error: unknown) => {
        this.#busy = false;
        this.#options.failed(error);
      },
    );
  }

  async #tend(replica: Replica, machine: ControllerStateMachine): Promise<void> {
    const map = machine.map();
    if (map === null) {
      await this.#initialise(replica);
      return;
    }
    for (const known of map.nodes) {
      const now = known.id === this.#options.self.id ? this.#options.self : this.#options.hello.of(known.id)?.node;
      if (now === undefined || now.incarnation !== known.incarnation || sameNode(now, known)) continue;
      await this.#propose(replica, { kind: 'register_node', node: now });
    }
  }

  /** Waits until every node has said who it is: their incarnations go into the first entry (F24, F25). */
  async #initialise(replica: Replica): Promise<void> {
    const { bootstrap, self, hello, random } = this.#options;
    if (bootstrap === null) return;
    const nodes: NodeEntry[] = [];
    for (const id of [...bootstrap.nodes.keys()].sort()) {
      const heard = hello.of(id);
      const node = id === self.id ? self : heard?.node;
      // A node that is part of a cluster already is none of a new one (F28).
      if (node === undefined || (id !== self.id && heard?.clusterId !== null)) return;
      nodes.push(node);
    }
    const { shards, replicas } = bootstrap;
    const founding = JSON.stringify({ nodes, shards, replicas });
    if (founding === this.#refusedFounding) return;
    const clusterId = Array.from({ length: 32 }, () => Math.floor(random.next() * 16).toString(16)).join('');
    const proposed = await this.#propose(replica, { kind: 'init', clusterId, nodes, shards, replicas });
    // Not in the log, or nobody knows: a later round sees whether there is a map by then.
    if (proposed.kind !== 'applied') return;
    const { result } = proposed;
    if (result.kind === 'initialised') this.#options.event('info', 'a new cluster was made', { clusterId });
    const reason = whyNotMade(result);
    if (reason === null) return;
    this.#refusedFounding = founding;
    this.#options.event('error', 'no cluster can be made as bootstrap says', { reason, shards, replicas });
  }

  async #propose(replica: Replica, command: ControllerCommand): Promise<ControllerProposed> {
    const machine = replica.machine as ControllerStateMachine;
    const proposed = await propose(
      replica,
      encodeControllerCommand(command, this.#options.stamp.next(machine.clock_ms)),
    );
    return proposed.kind === 'applied'
      ? { kind: 'applied', result: proposed.result as ControllerResult, index: proposed.index }
      : proposed;
  }

  #startDriver(replica: Replica): void {
    const { clock, shards, event } = this.#options;
    const controller: ControllerPort = {
      state: () => replica.machine as ControllerStateMachine,
      propose: (command) => this.#propose(replica, command),
      onChange: (listener) => (replica.machine as ControllerStateMachine).onChange(listener),
    };
    this.#driverTerm = replica.term;
    this.#driver = new PlanDriver({ clock, shards, controller, event });
    this.#driver.start();
    const healthy = (node: NodeId): boolean =>
      node === this.#options.self.id || this.#options.hello.state(node) === 'healthy';
    const confirm = (): Promise<boolean> => readBarrier(replica, clock, CONFIRM_MS);
    const downFor_ms = (node: NodeId): number | null =>
      node === this.#options.self.id ? null : this.#options.hello.downFor_ms(node);
    const steady = (node: NodeId): boolean => this.#steady(node);
    this.#members = new MemberDriver({ clock, shards, controller, event, healthy, downFor_ms, steady, confirm });
    this.#members.start();
    this.#balance = new BalanceDriver({
      clock,
      loads: this.#options.loads,
      state: () => replica.machine as ControllerStateMachine,
      propose: (command) => this.#propose(replica, command),
      event,
      healthy,
      confirm,
      explain: (standing) => `by itself: ${balanceSentence(standing)}`,
    });
    this.#balance.start();
  }

  #steady(node: NodeId): boolean {
    const { clock, hello, self } = this.#options;
    if (node !== self.id && hello.state(node) !== 'healthy') return false;
    return clock.wall_ms() - hello.since_ms(node) >= STEADY_MS;
  }

  #stopDriver(): void {
    this.#driver?.stop();
    this.#driver = null;
    this.#members?.stop();
    this.#members = null;
    this.#balance?.stop();
    this.#balance = null;
  }

  close(): void {
    this.#closed = true;
    this.#timer.cancel();
    this.#stopDriver();
  }
}

/** null: there is a cluster. */
function whyNotMade(result: ControllerResult): string | null {
  switch (result.kind) {
    case 'initialised':
    case 'already_initialised':
      return null;
    case 'plan_impossible':
      return result.missing;
    case 'refused':
      return result.reason;
    default:
      return `the controller answers ${result.kind}`;
  }
}

function sameNode(a: NodeEntry, b: NodeEntry): boolean {
  const labels = (node: NodeEntry): string => JSON.stringify(Object.entries(node.labels).sort());
  return a.http === b.http && a.peer === b.peer && labels(a) === labels(b);
}
