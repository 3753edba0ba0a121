/**
 * What the client knows of the cluster: which shard has which slot, who leads it, and which nodes answer. All of it is a
 * hint. A wrong hint costs a hop (nodes pass requests on), never a wrong answer.
 */
import type { ClusterView } from '../server/api.js';

/** How long a node that did not answer is left alone, doubling with each failure in a row. */
const PENALTY_MS = { first: 250, max: 10_000 } as const;
/** Leaders change without a new epoch; a hint older than this is renewed on use. */
const REFRESH_AFTER_MS = 15_000;
const REFRESH_GAP_MS = 500;

interface Knowledge {
  readonly epoch: number;
  /** By slot, index into `shards`; 0xffff: nobody. */
  readonly owners: Uint16Array;
  readonly shards: readonly string[];
  /** Base URLs by node id. */
  readonly nodes: ReadonlyMap<string, string>;
  readonly at_ms: number;
}

interface Penalty {
  failures: number;
  until_ms: number;
}

/** The arithmetic of slots, as `shardctrl` has it. */
export interface SlotMath {
  readonly count: number;
  slotOf(key: Uint8Array): number;
  /** Inclusive ranges of `0-99,200`; null for what is no such text. */
  parse(text: string): readonly (readonly [first: number, last: number])[] | null;
}

export interface DirectoryOptions {
  /** Base URLs without a trailing slash; at least one. */
  readonly endpoints: readonly string[];
  readonly now_ms: () => number;
  /** Uniform in [0, 1). */
  readonly chance: () => number;
  /** null: nothing is learnt of the map; every call goes to the endpoints in turn. */
  readonly slots: SlotMath | null;
}

const NOBODY = 0xffff;

export class LeaderDirectory {
  readonly #options: DirectoryOptions;
  /** Nodes found in the map are reached the same way as the endpoints given. */
  readonly #scheme: string;
  readonly #penalties = new Map<string, Penalty>();
  /** Node ids by shard. */
  readonly #leaders = new Map<string, string>();
  #known: Knowledge | null = null;
  #candidates: readonly string[];
  #turn: number;
  #newestEpoch = -1;
  #refreshed_ms = Number.NEGATIVE_INFINITY;
  #leaderLost = false;

  constructor(options: DirectoryOptions) {
    this.#options = options;
    this.#candidates = options.endpoints;
    this.#scheme = options.endpoints[0]?.startsWith('https:') ? 'https://' : 'http://';
    this.#turn = Math.floor(options.chance() * options.endpoints.length);
  }

  /** How many nodes there are to try. */
  get size(): number {
    return this.#candidates.length;
  }

  /** null: it makes no difference where a request for this key goes first. */
  slotOf(key: Uint8Array): number | null {
    return this.#options.slots?.slotOf(key) ?? null;
  }

  /** Where to send next: the slot's leader if known and not failing, else any node in turn. `avoid` was tried last. */
  pick(slot: number | null, avoid: string | null): string {
    const leader = slot === null ? null : this.#leaderOf(slot);
    if (leader !== null && leader !== avoid && this.#penalty_ms(leader) <= 0) return leader;
    let best: string | null = null;
    let bestPenalty_ms = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.#candidates.length; i++) {
      const base = this.#candidates[(this.#turn + i) % this.#candidates.length];
      if (base === undefined || (base === avoid && this.#candidates.length > 1)) continue;
      const penalty_ms = Math.max(0, this.#penalty_ms(base));
      if (penalty_ms < bestPenalty_ms) {
        best = base;
        bestPenalty_ms = penalty_ms;
      }
    }
    this.#turn = (this.#turn + 1) % this.#candidates.length;
    if (best === null) throw new Error('invariant: a client has at least one endpoint');
    return best;
  }

  #leaderOf(slot: number): string | null {
    const known = this.#known;
    if (known === null) return null;
    const shard = known.shards[known.owners[slot] ?? NOBODY];
    const node = shard === undefined ? undefined : this.#leaders.get(shard);
    return node === undefined ? null : (known.nodes.get(node) ?? null);
  }

  #penalty_ms(base: string): number {
    const penalty = this.#penalties.get(base);
    return penalty === undefined ? 0 : penalty.until_ms - this.#options.now_ms();
  }

  /** A node answered, whatever it said. */
  answered(base: string, epoch: number | null): void {
    this.#penalties.delete(base);
    if (epoch !== null && epoch > this.#newestEpoch) this.#newestEpoch = epoch;
  }

  /** A node did not answer, or refused what it should have led. */
  failed(base: string, slot: number | null, unreachable: boolean): void {
    if (unreachable) {
      const penalty = this.#penalties.get(base) ?? { failures: 0, until_ms: 0 };
      const wait_ms = Math.min(PENALTY_MS.max, PENALTY_MS.first * 2 ** penalty.failures);
      this.#penalties.set(base, { failures: penalty.failures + 1, until_ms: this.#options.now_ms() + wait_ms });
    }
    if (slot === null || this.#leaderOf(slot) !== base) return;
    const known = this.#known;
    const shard = known?.shards[known.owners[slot] ?? NOBODY];
    if (shard !== undefined) this.#leaders.delete(shard);
    this.#leaderLost = true;
  }

  /** An answer told whose a slot is now: the map follows when it is fetched. A shard that is not known yet has a newer epoch to tell. */
  owner(slot: number, shard: string): void {
    const known = this.#known;
    if (known === null || known.shards[known.owners[slot] ?? NOBODY] === shard) return;
    const index = known.shards.indexOf(shard);
    if (index >= 0) known.owners[slot] = index;
  }

  /** A refusal told who leads a shard. */
  hint(shard: string, leader: string): void {
    this.#leaders.set(shard, leader);
  }

  /** True, at most twice a second, when what is known is missing, outdated or was found wrong. The caller then fetches. */
  takeRefresh(): boolean {
    if (this.#options.slots === null) return false;
    const now_ms = this.#options.now_ms();
    if (now_ms - this.#refreshed_ms < REFRESH_GAP_MS) return false;
    const known = this.#known;
    const due =
      known === null
        ? this.#newestEpoch >= 0
        : known.epoch < this.#newestEpoch || this.#leaderLost || now_ms - known.at_ms > REFRESH_AFTER_MS;
    if (due) this.#refreshed_ms = now_ms;
    return due;
  }

  /** Takes in `/v1/cluster`, unless it is older than what is known. */
  learn(view: ClusterView): void {
    const { slots } = this.#options;
    if (slots === null) return;
    if (this.#known !== null && view.epoch < this.#known.epoch) return;
    const owners = new Uint16Array(slots.count).fill(NOBODY);
    this.#leaders.clear();
    view.shards.forEach((shard, index) => {
      for (const [first, last] of slots.parse(shard.slots) ?? []) owners.fill(index, first, last + 1);
      if (shard.leader !== null) this.#leaders.set(shard.id, shard.leader);
    });
    const nodes = new Map(view.nodes.map((node) => [node.id, `${this.#scheme}${node.http}`] as const));
    this.#known = {
      epoch: view.epoch,
      owners,
      shards: view.shards.map((shard) => shard.id),
      nodes,
      at_ms: this.#options.now_ms(),
    };
    this.#leaderLost = false;
    this.#candidates = [...new Set([...this.#options.endpoints, ...nodes.values()])];
    for (const base of this.#penalties.keys()) {
      if (!this.#candidates.includes(base)) this.#penalties.delete(base);
    }
  }
}
