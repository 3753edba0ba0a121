/**
 * A leader that reaches no majority gives up before long (CheckQuorum, section 6.2 of the thesis): else who asks it waits for
 * nothing, and a network that lets some through keeps the group from electing another one.
 */
import type { Replica } from '../../../src/raft/index.js';
import { type ClusterState, type Invariant, nameOf, type ReplicaView } from './invariant.js';

/** Two election timeouts of 1 s, by clocks that may be slow, and what was on its way. */
const LIMIT_MS = 3_500;

export interface LeadersStepDownOptions {
  /** Whether what `from` sends gets to `to` and is answered there. */
  readonly reaches: (from: string, to: string) => boolean;
  /** It does nothing now. */
  readonly asleep: (node: string) => boolean;
  /** How long an answer may have been under way, or come again: a leader that gets one takes its sender for there. */
  readonly late_ms: () => number;
}

export class LeadersStepDown implements Invariant {
  readonly name = 'leaders without a majority step down';
  readonly #options: LeadersStepDownOptions;
  /** Since when it has reached too few. */
  readonly #alone = new WeakMap<Replica, number>();

  constructor(options: LeadersStepDownOptions) {
    this.#options = options;
  }

  check(state: ClusterState): string | null {
    for (const view of state.replicas) {
      if (view.replica.role !== 'leader' || view.replica.damage !== null || this.#heard(view)) {
        this.#alone.delete(view.replica);
        continue;
      }
      const since_ms = this.#alone.get(view.replica) ?? state.now_ms;
      this.#alone.set(view.replica, since_ms);
      const limit_ms = LIMIT_MS + this.#options.late_ms();
      if (state.now_ms - since_ms > limit_ms)
        return `${view.node} has led ${nameOf(view.group)} for ${limit_ms} ms without reaching a majority`;
    }
    return null;
  }

  #heard({ node, replica }: ReplicaView): boolean {
    const { reaches, asleep } = this.#options;
    if (asleep(node)) return true;
    const { voters, outgoing } = replica.conf;
    return [voters, outgoing].every((half) => {
      const near = half.filter(
        (member) => member.node === node || (reaches(node, member.node) && reaches(member.node, node)),
      );
      return half.length === 0 || near.length > half.length / 2;
    });
  }
}
