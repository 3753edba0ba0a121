/**
 * Takes slots off overloaded shards, as few as will do. Only shards that are not overloaded take any, and each only up to where
 * it is neither overloaded itself nor near it. So an overloaded shard only ever gives, any other only takes, and when no
 * slot can go any more that stays so.
 */
import { isOverloaded, RESOURCES, type Resource, ROUNDING, type Scale, type SlotShares } from './overload.js';

/** Of the limit: up to there a shard is relieved, and up to there another takes. */
const AIM = 1 / 3;
/** Of its fair share: what does not help a shard by as much is not worth the moves, where it is overloaded all the same. */
const GAIN_MIN = 0.05;

/** Changes `shards` and `owner`. */
export function relieve(shards: readonly Scale[], shares: SlotShares, owner: Int32Array, limit: number): void {
  const relief = new Relief(shares, owner, limit);
  // A shard that has been relieved may have room for what others could not get rid of.
  while (relief.round(shards));
}

const otherThan = (resource: Resource): Resource => (resource === 'load' ? 'bytes' : 'load');

class Relief {
  readonly #shares: SlotShares;
  readonly #owner: Int32Array;
  readonly #limit: number;

  constructor(shares: SlotShares, owner: Int32Array, limit: number) {
    this.#shares = shares;
    this.#owner = owner;
    this.#limit = limit;
  }

  /** Each overloaded shard gives what it can. False: none could. */
  round(shards: readonly Scale[]): boolean {
    const takers = shards.filter((shard) => !RESOURCES.some((resource) => isOverloaded(shard, resource, this.#limit)));
    let gave = false;
    for (const resource of RESOURCES) {
      const givers = shards.filter((shard) => isOverloaded(shard, resource, this.#limit));
      givers.sort((a, b) => b[resource] / b.fair - a[resource] / a.fair || a.id - b.id);
      for (const giver of givers) if (this.#give(giver, resource, takers)) gave = true;
    }
    return gave;
  }

  /** False: nothing, or not enough to be worth it. */
  #give(giver: Scale, resource: Resource, takers: readonly Scale[]): boolean {
    const before = giver[resource];
    const given = this.#giveLargestFirst(giver, resource, takers);
    if (given.length === 0) return false;
    const helps = before - giver[resource] >= GAIN_MIN * giver.fair;
    if (helps || !isOverloaded(giver, resource, this.#limit)) return true;
    for (const { slot, taker } of given) this.#move(slot, taker, giver);
    return false;
  }

  /** The largest slots that are no more than what has to go; then, for the rest, the smallest that is more. */
  #giveLargestFirst(giver: Scale, resource: Resource, takers: readonly Scale[]): { slot: number; taker: Scale }[] {
    const given: { slot: number; taker: Scale }[] = [];
    const owned = this.#countOf(giver);
    const give = (slot: number): boolean => {
      // A shard without slots would take no part any more.
      if (owned - given.length < 2) return false;
      const taker = this.#takerOf(slot, resource, takers);
      if (taker === null) return false;
      this.#move(slot, giver, taker);
      given.push({ slot, taker });
      return true;
    };
    const larger: number[] = [];
    for (const slot of this.#slotsOf(giver, resource)) {
      const surplus = giver[resource] - this.#aim(giver);
      if (surplus <= ROUNDING) return given;
      if (this.#shares[resource][slot]! > surplus) larger.push(slot);
      else give(slot);
    }
    if (giver[resource] - this.#aim(giver) > ROUNDING) larger.reverse().some(give);
    return given;
  }

  #countOf(shard: Scale): number {
    return this.#owner.reduce((count, owner) => (owner === shard.id ? count + 1 : count), 0);
  }

  #aim(shard: Scale): number {
    return shard.fair * (1 + this.#limit * AIM);
  }

  /** Those that carry anything of it, the largest first; of equals those that carry less of the other come first. */
  #slotsOf(shard: Scale, resource: Resource): number[] {
    const amounts = this.#shares[resource];
    const others = this.#shares[otherThan(resource)];
    const slots: number[] = [];
    this.#owner.forEach((owner, slot) => {
      if (owner === shard.id && amounts[slot]! > 0) slots.push(slot);
    });
    return slots.sort((a, b) => amounts[b]! - amounts[a]! || others[a]! - others[b]! || a - b);
  }

  /** Who has most room; null: nobody has enough. */
  #takerOf(slot: number, resource: Resource, takers: readonly Scale[]): Scale | null {
    const other = otherThan(resource);
    const share = this.#shares[resource][slot]!;
    const otherShare = this.#shares[other][slot]!;
    let best: Scale | null = null;
    let most = share - ROUNDING;
    for (const taker of takers) {
      const room = this.#aim(taker) - taker[resource];
      if (room < most || (best !== null && room === most)) continue;
      if (taker[other] + otherShare > taker.fair * (1 + this.#limit)) continue;
      best = taker;
      most = room;
    }
    return best;
  }

  #move(slot: number, from: Scale, to: Scale): void {
    for (const resource of RESOURCES) {
      from[resource] -= this.#shares[resource][slot]!;
      to[resource] += this.#shares[resource][slot]!;
    }
    this.#owner[slot] = to.id;
  }
}
