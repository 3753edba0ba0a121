/**
 * How many operations may be under way on this node: in all, and for one shard. A shard that does not answer keeps its
 * operations waiting up to their deadlines; they must not take the places of all the others (F44).
 */
import type { GroupId } from '../../raft/index.js';
import { shardName } from '../../shardctrl/index.js';

/** Of all places: what one shard may take where there are several. */
const SHARE_MAX = 0.5;

export class Admission {
  readonly #max: number;
  readonly #shards: () => number;
  readonly #counts = new Map<GroupId, number>();
  #total = 0;
  /** Ever. */
  admitted = 0;

  /** `shards`: how many there are now. */
  constructor(max: number, shards: () => number) {
    this.#max = max;
    this.#shards = shards;
  }

  /** null: it is in, and has to leave once. Else why not. */
  enter(shard: GroupId): string | null {
    const count = this.#counts.get(shard) ?? 0;
    if (this.#total >= this.#max) return `${this.#total} requests are under way on this node`;
    if (count >= this.#max * SHARE_MAX && this.#shards() > 1) {
      return `${count} requests to shard ${shardName(shard)} are under way on this node`;
    }
    this.#counts.set(shard, count + 1);
    this.#total++;
    this.admitted++;
    return null;
  }

  leave(shard: GroupId): void {
    const count = this.#counts.get(shard) ?? 0;
    if (count <= 0) throw new Error(`invariant: nobody is in for shard ${shard}`);
    this.#counts.set(shard, count - 1);
    this.#total--;
  }

  clear(): void {
    this.#counts.clear();
    this.#total = 0;
  }
}
