/**
 * Follows map, leaders and epochs by asking every node in turn. Nodes that are cut off tell of the past: what is older than what is known
 * (by epoch, by term) is not believed.
 */
import type { ClusterView } from '../../../src/kv/client/index.js';
import type { Journal } from '../journal.js';
import { pause } from '../pause.js';

const EVERY_MS = 400;
const ASK_MS = 1_000;
/** A node asks the others in turn; it must not wait for one that is silent until nobody waits for it. */
const SERVER_TIMEOUT_MS = 700;

export interface WatchedShard {
  readonly id: string;
  /** `0-8191,9000` */
  readonly slots: string;
}

export class ClusterWatch {
  readonly #endpoints: readonly string[];
  readonly #journal: Journal;
  readonly #stop = new AbortController();
  readonly #terms = new Map<string, { leader: string | null; term: number }>();
  #epoch = 0;
  #view: ClusterView | null = null;
  #shards: readonly WatchedShard[] = [];
  #running: Promise<void> = Promise.resolve();

  constructor(endpoints: readonly string[], journal: Journal) {
    this.#endpoints = endpoints;
    this.#journal = journal;
  }

  /** Those that own slots, by the newest map that is known. */
  get shards(): readonly WatchedShard[] {
    return this.#shards;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** As the last node told it that knew the newest map; what it says of others' health is its own opinion. */
  get view(): ClusterView | null {
    return this.#view;
  }

  /** Nodes that lead the controller or a shard. */
  get leaders(): readonly string[] {
    return [...this.#terms.values()].flatMap(({ leader }) => (leader === null ? [] : [leader]));
  }

  /** Resolves when the map is known for the first time. */
  async start(): Promise<void> {
    await this.#round();
    this.#running = this.#loop();
    if (this.#shards.length === 0) throw new Error(`no node of ${this.#endpoints.join(', ')} tells its map`);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #loop(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await pause(EVERY_MS, this.#stop.signal);
      await this.#round();
    }
  }

  async #round(): Promise<void> {
    await Promise.all(
      this.#endpoints.map(async (endpoint) => {
        try {
          const answer = await fetch(`${endpoint}/v1/cluster?timeout=${SERVER_TIMEOUT_MS}ms`, {
            signal: AbortSignal.timeout(ASK_MS),
          });
          if (answer.ok) this.#take((await answer.json()) as ClusterView);
        } catch {
          // A node that does not answer tells nothing.
        }
      }),
    );
  }

  #take(view: ClusterView): void {
    if (view.epoch < this.#epoch) return;
    this.#view = view;
    const at_ms = this.#journal.now();
    if (view.epoch > this.#epoch) {
      this.#epoch = view.epoch;
      this.#shards = view.shards.filter((shard) => shard.slot_count > 0).map(({ id, slots }) => ({ id, slots }));
      this.#journal.epochs.push({ at_ms, epoch: view.epoch, shards: this.#shards.map(({ id }) => id) });
    }
    this.#led('controller', view.controller.leader, view.controller.term);
    for (const { id, leader, term } of view.shards) this.#led(id, leader, term);
  }

  #led(group: string, leader: string | null, term: number | null): void {
    const known = this.#terms.get(group) ?? { leader: null, term: -1 };
    // Within a term a leader is known or not; a node that does not know it is no news.
    if (term === null || term < known.term || (term === known.term && leader === null)) return;
    if (term === known.term && leader === known.leader) return;
    this.#terms.set(group, { leader, term });
    this.#journal.leaders.push({ at_ms: this.#journal.now(), group, leader, term });
  }
}
