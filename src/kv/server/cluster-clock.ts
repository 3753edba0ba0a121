/**
 * The time that leaders stamp entries with (architecture decision 8). It follows this node's wall clock only as far as
 * that agrees with the others': within 500 ms of the median of what the nodes say. So one node with a wrong clock can
 * neither expire everything nor stop expiry, also when it leads.
 */
import type { Clock, NodeId } from '../../raft/index.js';

const MAX_DISTANCE_MS = 500;
/** What a node said longer ago than this no longer counts. */
const FORGET_MS = 30_000;

interface Sample {
  /** The peer's wall clock minus our monotonic clock, when its word arrived. */
  readonly offset_ms: number;
  readonly heard_ms: number;
}

export class ClusterClock {
  readonly #clock: Clock;
  readonly #samples = new Map<NodeId, Sample>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  heard(node: NodeId, wall_ms: number): void {
    const now = this.#clock.monotonic_ms();
    this.#samples.set(node, { offset_ms: wall_ms - now, heard_ms: now });
  }

  forget(node: NodeId): void {
    this.#samples.delete(node);
  }

  /** Whole milliseconds since 1970. */
  now_ms(): number {
    const now = this.#clock.monotonic_ms();
    const own = this.#clock.wall_ms() - now;
    const offsets = [own];
    for (const sample of this.#samples.values()) {
      if (now - sample.heard_ms < FORGET_MS) offsets.push(sample.offset_ms);
    }
    return Math.floor(
      now + Math.min(Math.max(own, median(offsets) - MAX_DISTANCE_MS), median(offsets) + MAX_DISTANCE_MS),
    );
  }
}

/** The lower one of the two in the middle: of two nodes neither is believed more, and time should not jump ahead. */
function median(values: number[]): number {
  values.sort((a, b) => a - b);
  return values[(values.length - 1) >> 1]!;
}
