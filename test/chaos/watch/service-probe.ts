/**
 * Is every shard served? A small write to each, five times a second, sent through all nodes at once: the shard is served if
 * any of them answers. So what is measured is the shard, not the luck of a client in choosing its node.
 */
import { parseSlots } from '../../../src/shardctrl/index.js';
import { codeOf, keyPath, plain } from '../../e2e/plain-http.js';
import type { SimRandom } from '../../sim/fakes/random.js';
import { pause } from '../pause.js';
import type { ClusterWatch, WatchedShard } from './cluster-watch.js';
import { keysOfSlots } from './slot-keys.js';

const EVERY_MS = 200;
const SERVER_TIMEOUT_MS = 1_500;
/** A node that is stopped keeps the connection and says nothing. */
const SILENCE_MS = 2_000;
const OPEN_PER_SHARD_MAX = 4;

export interface Sample {
  readonly shard: string;
  readonly sent_ms: number;
  readonly done_ms: number;
  readonly ok: boolean;
}

export interface ProbePorts {
  readonly endpoints: readonly string[];
  /** Of all keys of this run. */
  readonly prefix: string;
  readonly watch: ClusterWatch;
  readonly random: SimRandom;
  readonly now: () => number;
}

export class ServiceProbe {
  readonly samples: Sample[] = [];
  readonly #ports: ProbePorts;
  readonly #keys: readonly string[];
  readonly #stop = new AbortController();
  readonly #open = new Map<string, number>();
  readonly #lastServed = new Map<string, number>();
  #running: Promise<void> = Promise.resolve();

  constructor(ports: ProbePorts) {
    this.#ports = ports;
    this.#keys = keysOfSlots(`${ports.prefix}probe/`);
  }

  start(): void {
    this.#running = this.#loop();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Shards of the map that have not served a probe sent at or after that time. */
  unservedSince(since_ms: number): string[] {
    return this.#ports.watch.shards.map(({ id }) => id).filter((id) => (this.#lastServed.get(id) ?? -1) < since_ms);
  }

  /** How long after `since_ms` every shard had been served; null: not within the limit, or told to stop. */
  async whenServed(since_ms: number, limit_ms: number, signal?: AbortSignal): Promise<number | null> {
    const { now } = this.#ports;
    while (now() < since_ms + limit_ms) {
      if (this.unservedSince(since_ms).length === 0) return now() - since_ms;
      if (signal?.aborted === true) return null;
      await pause(50, signal);
    }
    return null;
  }

  async #loop(): Promise<void> {
    const open = new Set<Promise<void>>();
    while (!this.#stop.signal.aborted) {
      for (const shard of this.#ports.watch.shards) {
        if ((this.#open.get(shard.id) ?? 0) >= OPEN_PER_SHARD_MAX) continue;
        const probe = this.#probe(shard);
        open.add(probe);
        void probe.finally(() => open.delete(probe));
      }
      await pause(EVERY_MS, this.#stop.signal);
    }
    await Promise.all(open);
  }

  async #probe(shard: WatchedShard): Promise<void> {
    const { endpoints, now } = this.#ports;
    const key = this.#keyIn(shard);
    const sent_ms = now();
    this.#open.set(shard.id, (this.#open.get(shard.id) ?? 0) + 1);
    const served = await Promise.any(endpoints.map((endpoint) => ask(endpoint, key))).catch(() => null);
    this.#open.set(shard.id, (this.#open.get(shard.id) ?? 1) - 1);
    const { id } = shard;
    const ok = served !== null;
    // The slot may have moved meanwhile: what counts is that what this shard had was served, by whomever.
    if (ok) this.#lastServed.set(id, Math.max(sent_ms, this.#lastServed.get(id) ?? 0));
    this.samples.push({ shard: id, sent_ms, done_ms: now(), ok });
  }

  #keyIn(shard: WatchedShard): string {
    const { random } = this.#ports;
    const parsed = parseSlots(shard.slots);
    if (!parsed.ok) throw new Error(`the cluster tells slots that cannot be: ${parsed.detail}`);
    const [first, last] = random.pick([...parsed.slots]);
    return this.#keys[random.int(first, last)]!;
  }
}

/** Rejects unless it was served. */
async function ask(endpoint: string, key: string): Promise<true> {
  const path = `${keyPath(key)}&timeout=${SERVER_TIMEOUT_MS}ms`;
  const answer = await plain(endpoint, path, { method: 'PUT', body: 'probe', timeout_ms: SILENCE_MS });
  if (answer.status >= 300) throw new Error(codeOf(answer) ?? `status ${answer.status}`);
  return true;
}
