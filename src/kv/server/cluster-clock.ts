/**
 * The time that leaders stamp entries with (architecture decision 8). It follows this node's wall clock only as far as
 * that agrees with the others': within 500 ms of the median of what the nodes say. So one node with a wrong clock can
 * neither expire everything nor stop expiry, also when it leads.
 *
 * Asked for every write: the others' words are sorted when they come, not when the time is asked for.
 */
import { type Clock, ClockParting, type NodeId } from '../../raft/index.js';

const MAX_DISTANCE_MS = 500;
/** What a node said longer ago than this no longer counts. */
const FORGET_MS = 30_000;
/** An answer that took longer may have been read off the other's clock that much earlier: it tells too little. */
const ROUND_TRIP_MAX_MS = 500;

interface Sample {
  /** The peer's wall clock minus our monotonic clock, in the middle of the round trip. */
  readonly offset_ms: number;
  readonly asked_ms: number;
  readonly heard_ms: number;
}

export class ClusterClock {
  readonly #clock: Clock;
  readonly #peers: () => number;
  readonly #samples = new Map<NodeId, Sample>();
  /** Offsets of the others, ascending. */
  #offsets: number[] = [];
  /** When the oldest of the samples is to be forgotten. */
  #forget_ms = Number.POSITIVE_INFINITY;
  readonly #parting: ClockParting;
  /** When our two clocks were found to have parted, on the monotonic one. */
  #parted_ms = Number.NEGATIVE_INFINITY;

  /** `peers`: how many other nodes the cluster has. */
  constructor(clock: Clock, peers: () => number) {
    this.#clock = clock;
    this.#peers = peers;
    this.#parting = new ClockParting(clock);
  }

  /**
   * Must be called every second. Where the machine sleeps, its monotonic clock stands still, and what the others said before
   * seems to have been said just now. So where the two clocks have parted, what was asked for before that no longer counts as
   * knowing the time. It still bounds our own clock: it may be the wall clock that was set.
   */
  watch(): void {
    const now = this.#clock.monotonic_ms();
    if (this.#parting.look(now) > 0) this.#parted_ms = now;
  }

  #counts({ asked_ms }: Sample): boolean {
    return asked_ms >= this.#parted_ms;
  }

  /**
   * An answer of `node`, which read `wall_ms` off its clock at some time during the `roundTrip_ms` that end now: right to
   * within half of that (Cristian 1989). What nobody asked for does not count: it may have been under way for long.
   */
  heard(node: NodeId, wall_ms: number, roundTrip_ms: number): void {
    if (roundTrip_ms > ROUND_TRIP_MAX_MS) return;
    this.watch();
    const now = this.#clock.monotonic_ms();
    const offset_ms = wall_ms + roundTrip_ms / 2 - now;
    this.#samples.set(node, { offset_ms, asked_ms: now - roundTrip_ms, heard_ms: now });
    this.#sort(now);
  }

  #sort(now: number): void {
    this.#forget_ms = Number.POSITIVE_INFINITY;
    for (const [node, { heard_ms }] of this.#samples) {
      if (now - heard_ms >= FORGET_MS) this.#samples.delete(node);
      else this.#forget_ms = Math.min(this.#forget_ms, heard_ms + FORGET_MS);
    }
    const samples = [...this.#samples.values()];
    const counting = samples.filter((sample) => this.#counts(sample));
    // As soon as one is new, those of before rule no more: if the machine slept, they are all behind by the same.
    const ruling = counting.length > 0 ? counting : samples;
    this.#offsets = ruling.map(({ offset_ms }) => offset_ms).sort((a, b) => a - b);
  }

  monotonic_ms(): number {
    return this.#clock.monotonic_ms();
  }

  /** What this node's own wall clock says. */
  own_ms(): number {
    return this.#clock.wall_ms();
  }

  /** A majority of the nodes, this one included, has said lately what time it is. Without it the median means little. */
  get agreed(): boolean {
    return this.agreedAmong([...this.#samples.keys()], this.#peers() + 1);
  }

  /** The same for some of the nodes, of which this one is one: a leader always reaches a majority of its group. */
  agreedAmong(nodes: readonly NodeId[], count: number = nodes.length): boolean {
    this.#refresh();
    let heard = 1;
    for (const node of nodes) if (this.#isKnown(node)) heard++;
    return heard * 2 > count;
  }

  /** What time `node` has was heard lately. */
  knows(node: NodeId): boolean {
    this.#refresh();
    return this.#isKnown(node);
  }

  #isKnown(node: NodeId): boolean {
    const sample = this.#samples.get(node);
    return sample !== undefined && this.#counts(sample);
  }

  #refresh(): void {
    this.watch();
    this.#forget();
  }

  #forget(): void {
    const now = this.#clock.monotonic_ms();
    if (now >= this.#forget_ms) this.#sort(now);
  }

  /** Whole milliseconds since 1970. */
  now_ms(): number {
    const now = this.#clock.monotonic_ms();
    if (now >= this.#forget_ms) this.#sort(now);
    const own = this.#clock.wall_ms() - now;
    // The median of the others and our own: our own, kept between the two that would be its neighbours there. Of an even
    // number it is the lower one of the two in the middle: neither of two nodes is believed more, and time should not jump
    // ahead.
    const middle = this.#offsets.length >> 1;
    const low = middle > 0 ? this.#offsets[middle - 1]! : Number.NEGATIVE_INFINITY;
    const high = middle < this.#offsets.length ? this.#offsets[middle]! : Number.POSITIVE_INFINITY;
    const median = Math.min(Math.max(own, low), high);
    return Math.floor(now + Math.min(Math.max(own, median - MAX_DISTANCE_MS), median + MAX_DISTANCE_MS));
  }
}
