/**
 * Looks at every replica after every step of the simulation, and at invariants only where something moved: a handful of
 * numbers is compared for each replica; who differs is handed on.
 */
import type { Replica, StateMachine } from '../../../src/raft/index.js';
import type { Invariant, ReplicaView } from './invariant.js';

class Watched implements ReplicaView {
  readonly node: string;
  readonly group: number;
  readonly replica: Replica;
  #role = '';
  #term = -1;
  #commit = -1;
  #applied = -1;
  #last = -1;
  #conf = -1;
  #machine: StateMachine | null = null;
  /** Waits for the next look of the slow invariants. */
  pending = false;

  constructor(node: string, group: number, replica: Replica) {
    this.node = node;
    this.group = group;
    this.replica = replica;
  }

  /** Its role has just become that of a leader. */
  elected = false;
  /** Its role has just become that of a candidate, who has a term of its own. */
  campaigns = false;
  /** It leads, and its commit index has just risen. */
  committed = false;
  /** It leads, and has just gone over to another configuration. */
  reconfigured = false;

  moved(): boolean {
    const { role, term, commit, applied, lastIndex, confIndex, machine } = this.replica;
    if (
      role === this.#role &&
      applied === this.#applied &&
      commit === this.#commit &&
      lastIndex === this.#last &&
      term === this.#term &&
      confIndex === this.#conf &&
      machine === this.#machine
    )
      return false;
    this.committed = role === 'leader' && this.#role === 'leader' && commit > this.#commit;
    this.campaigns = role === 'candidate' && this.#role !== 'candidate';
    this.elected = role === 'leader' && this.#role !== 'leader';
    this.reconfigured = role === 'leader' && this.#conf >= 0 && confIndex !== this.#conf;
    this.#role = role;
    this.#term = term;
    this.#commit = commit;
    this.#applied = applied;
    this.#last = lastIndex;
    this.#conf = confIndex;
    this.#machine = machine;
    return true;
  }
}

export interface WatchOptions {
  /** Asked after each step in which a replica moved. */
  readonly always: readonly Invariant[];
  /** Asked every so often, for those that cost more than a few comparisons. */
  readonly often: readonly Invariant[];
  readonly often_ms: number;
}

export type LeaderEvent = 'campaigns' | 'elected' | 'committed' | 'reconfigured';
export type LeaderListener = (view: ReplicaView, what: LeaderEvent) => void;

/** The replicas of a process that runs, or nothing. */
export interface Hosting {
  readonly id: string;
  /** How often the process has done anything: where it has not, nothing of it can have moved. */
  readonly clock: { readonly runs: number } | null;
  readonly node: { readonly host: { groups(): readonly number[]; get(group: number): Replica | undefined } } | null;
}

interface Process {
  readonly clock: { readonly runs: number };
  readonly views: readonly Watched[];
  /** As of the last look. */
  runs: number;
}

export class Watch {
  readonly #options: WatchOptions;
  #views: Watched[] = [];
  #processes: Process[] = [];
  #pending: Watched[] = [];
  #next_ms = 0;
  #onLeader: LeaderListener = () => {};

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  get replicas(): readonly ReplicaView[] {
    return this.#views;
  }

  /** A process has started or ended, a replica has come or gone. */
  refresh(nodes: readonly Hosting[]): void {
    const known = new Map(this.#views.map((view) => [view.replica, view]));
    this.#processes = nodes.flatMap(({ id, clock, node }) => {
      if (clock === null || node === null) return [];
      const views = node.host.groups().flatMap((group) => {
        const replica = node.host.get(group);
        return replica === undefined ? [] : [known.get(replica) ?? new Watched(id, group, replica)];
      });
      return [{ clock, views, runs: -1 }];
    });
    this.#views = this.#processes.flatMap(({ views }) => views);
  }

  #moved(): Watched[] | null {
    let moved: Watched[] | null = null;
    for (const process of this.#processes) {
      if (process.runs === process.clock.runs) continue;
      process.runs = process.clock.runs;
      for (const view of process.views) {
        if (!view.moved()) continue;
        moved ??= [];
        moved.push(view);
      }
    }
    return moved;
  }

  /** Told of candidates, of elections, and of what leaders commit and of their configurations, after the step in which it happened. */
  onLeader(listener: LeaderListener): void {
    this.#onLeader = listener;
  }

  /** What is violated, or null. */
  check(now_ms: number): string | null {
    const changed = this.#moved();
    for (const view of changed ?? []) {
      if (view.elected) this.#onLeader(view, 'elected');
      else if (view.campaigns) this.#onLeader(view, 'campaigns');
      else if (view.committed) this.#onLeader(view, 'committed');
      if (view.reconfigured) this.#onLeader(view, 'reconfigured');
      if (view.pending) continue;
      view.pending = true;
      this.#pending.push(view);
    }
    const wrong = changed === null ? null : this.#ask(this.#options.always, now_ms, changed);
    if (wrong !== null || now_ms < this.#next_ms) return wrong;
    this.#next_ms = now_ms + this.#options.often_ms;
    const pending = this.#pending;
    this.#pending = [];
    for (const view of pending) view.pending = false;
    return pending.length === 0 ? null : this.#ask(this.#options.often, now_ms, pending);
  }

  #ask(invariants: readonly Invariant[], now_ms: number, changed: readonly ReplicaView[]): string | null {
    for (const invariant of invariants) {
      const wrong = invariant.check({ now_ms, replicas: this.#views, changed });
      if (wrong !== null) return `${invariant.name}: ${wrong}`;
    }
    return null;
  }
}
