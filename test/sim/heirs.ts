/**
 * Amid a move the source's office goes to a member that has just restarted. What that one knows of the move it has read back
 * from its disk; what it has counted since, others number differently: a copy must not go on from where its predecessor's stood
 * (F54), and nothing that a round has promised may be forgotten.
 */
import type { KvCommand, KvResult } from '../../src/kv/store/index.js';
import type { SimScheduler } from './fakes/clock.js';
import type { SimRandom } from './fakes/random.js';
import { leaderOf, type ReplicaView } from './invariants/invariant.js';
import type { Trace } from './trace.js';

export interface HeirsOptions {
  readonly scheduler: SimScheduler;
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly leaders: () => readonly ReplicaView[];
  /** Crashes a node and starts it again at once. */
  readonly bounce: (node: string) => void;
  readonly handOver: (view: ReplicaView, to: string) => void;
}

const LIKELIHOOD = 0.4;
/** Until it is up again and has what the leader has, or nearly. */
const READY_MS = [600, 2_500] as const;
const PAUSE_MS = 3_000;

export class Heirs {
  readonly #options: HeirsOptions;
  #next_ms = 0;

  constructor(options: HeirsOptions) {
    this.#options = options;
  }

  /** A shard has applied a command, which nobody had applied before. */
  applied(command: KvCommand, answer: KvResult, group: number): void {
    const { leaders, random, scheduler } = this.#options;
    const moves = command.kind === 'freeze' ? answer.kind === 'frozen' : command.kind === 'thaw';
    if (!moves || scheduler.now_ms < this.#next_ms || !random.chance(LIKELIHOOD)) return;
    const leader = leaderOf(leaders(), group);
    const others = leader?.replica.members.filter(({ node }) => node !== leader.node) ?? [];
    if (leader === undefined || others.length === 0) return;
    this.#next_ms = scheduler.now_ms + PAUSE_MS;
    this.#prepare(group, random.pick(others).node);
  }

  #prepare(group: number, heir: string): void {
    const { bounce, handOver, leaders, random, scheduler, trace } = this.#options;
    trace.add('nemesis', `heir: ${heir} restarts, and is to lead s${group}`);
    bounce(heir);
    scheduler.after(random.between(...READY_MS), () => {
      const leader = leaderOf(leaders(), group);
      if (leader !== undefined && leader.node !== heir) handOver(leader, heir);
    });
  }
}
