/**
 * Which slots have to change hands so that every shard has its share of what slots hold, keys or bytes: like `planShares`
 * a pure function, but its slots differ in size and cannot be cut.
 *
 * Balanced: every share is within the largest slot of its ideal (all × weight ÷ weights), and within a slot of middling
 * size where the slots allow it. Minimal: who has more than its share gives and does not take, who has less takes and does
 * not give, empty slots stay, and giving any one slot back would make the two shards less even. Shards that are no
 * target give all they have.
 *
 * Why the largest slot is a bound: a slot overshoots a share only where the fullest giver meets the neediest taker. While
 * somebody is off by more than the largest slot no such slot overshoots, and some slot can still go; so none stays off.
 */
import type { GroupId } from '../raft/index.js';
import type { Holding, SlotMove, Target } from './planner.js';
import { eachSlot, slotsOf } from './slot-ranges.js';

export type SizeOf = (slot: number) => number;

/** At most one move a pair of shards, ascending by (from, to). Something has to be held by somebody. */
export function planSizes(holdings: readonly Holding[], targets: readonly Target[], sizeOf: SizeOf): SlotMove[] {
  if (targets.length === 0) throw new Error('invariant: a plan needs a shard to move slots to');
  const plan = new SizePlan(holdings, targets, sizeOf);
  plan.emptyThoseWhoLeave();
  plan.fill();
  plan.settle();
  plan.giveBack();
  return plan.moves();
}

/** A slot that holds so much of what the neediest lacks is placed before smaller ones fill the gaps that it would fit into … */
const LARGE_PART = 1 / 16;
/** … unless it is like others: slots of one size fill gaps as well in runs. */
const LARGE_GRAINS = 2;

interface Party {
  readonly id: GroupId;
  /** What it holds beyond its share. */
  over: number;
  /** Its own slots that it still has, ascending. What it was given is not given on. */
  slots: number[];
}

interface Given {
  readonly from: Party;
  readonly to: Party;
}

class SizePlan {
  readonly #sizeOf: SizeOf;
  /** Of a slot in the middle: what is less than it is even enough. */
  readonly #grain: number;
  readonly #leavers: readonly Party[];
  readonly #stayers: readonly Party[];
  readonly #givers: readonly Party[];
  readonly #takers: readonly Party[];
  readonly #owner = new Map<number, GroupId>();
  readonly #given = new Map<number, Given>();

  constructor(holdings: readonly Holding[], targets: readonly Target[], sizeOf: SizeOf) {
    this.#sizeOf = sizeOf;
    const held = new Map<GroupId, number[]>(targets.map(({ id }) => [id, []]));
    for (const { id, slots } of holdings) held.set(id, [...eachSlot(slots)]);
    for (const [id, slots] of held) for (const slot of slots) this.#owner.set(slot, id);
    const all = [...held.values()].flat();
    const total = this.#sum(all);
    const weights = targets.reduce((sum, { weight }) => sum + weight, 0);
    const ideals = new Map(targets.map(({ id, weight }) => [id, (total * weight) / weights]));
    const parties = [...held]
      .sort(([a], [b]) => a - b)
      .map(([id, slots]): Party => ({ id, slots, over: this.#sum(slots) - (ideals.get(id) ?? 0) }));
    this.#grain = total / Math.max(1, all.filter((slot) => sizeOf(slot) > 0).length);
    this.#leavers = parties.filter(({ id }) => !ideals.has(id));
    this.#stayers = parties.filter(({ id }) => ideals.has(id));
    this.#givers = this.#stayers.filter(({ over }) => over > 0);
    this.#takers = this.#stayers.filter(({ over }) => over < 0);
  }

  #sum(slots: readonly number[]): number {
    let sum = 0;
    for (const slot of slots) sum += this.#sizeOf(slot);
    return sum;
  }

  #give(from: Party, to: Party, slots: readonly number[]): void {
    if (slots.length === 0) return;
    for (const slot of slots) {
      this.#owner.set(slot, to.id);
      this.#given.set(slot, { from, to });
    }
    const size = this.#sum(slots);
    from.over -= size;
    to.over += size;
    from.slots = from.slots.filter((slot) => this.#owner.get(slot) === from.id);
  }

  // ------------------------------------------------------------------------------------------------ shards that leave

  /** Large slots first, then runs of slots as far as they fit, then whatever fits nowhere to whoever needs it most. */
  emptyThoseWhoLeave(): void {
    for (const leaver of this.#leavers) {
      const large = Math.max(-this.#neediest().over * LARGE_PART, this.#grain * LARGE_GRAINS);
      this.#placeEach(leaver, (size) => size > large);
      const needy = this.#takers.filter(({ over }) => over < 0).sort((a, b) => a.over - b.over || a.id - b.id);
      for (const taker of needy) {
        if (leaver.slots.length === 0) break;
        this.#giveRun(leaver, taker, -taker.over, true);
      }
      this.#placeEach(leaver, (size) => size > 0);
      this.#placeEmpty(leaver);
    }
  }

  #placeEach(leaver: Party, which: (size: number) => boolean): void {
    const slots = leaver.slots.filter((slot) => which(this.#sizeOf(slot)));
    slots.sort((a, b) => this.#sizeOf(b) - this.#sizeOf(a) || a - b);
    for (const slot of slots) this.#give(leaver, this.#neediest(), [slot]);
  }

  /** Beside slots of the same shard where there are some, for the sake of few ranges; else to whoever has the fewest. */
  #placeEmpty(leaver: Party): void {
    if (leaver.slots.length === 0) return;
    const counts = new Map(this.#stayers.map((party) => [party, 0]));
    const byId = new Map(this.#stayers.map((party) => [party.id, party]));
    const count = (party: Party | undefined, by: number): void => {
      if (party !== undefined) counts.set(party, counts.get(party)! + by);
    };
    for (const owner of this.#owner.values()) count(byId.get(owner), 1);
    const beside = (slot: number): Party | undefined => byId.get(this.#owner.get(slot) ?? 0);
    const least = (): Party => this.#stayers.reduce((a, b) => (counts.get(b)! < counts.get(a)! ? b : a));
    for (const [first, last] of slotsOf(leaver.slots)) {
      const to = beside(first - 1) ?? beside(last + 1) ?? least();
      const run = leaver.slots.filter((slot) => slot >= first && slot <= last);
      this.#give(leaver, to, run);
      count(to, run.length);
    }
  }

  #neediest(): Party {
    return this.#stayers.reduce((a, b) => (b.over < a.over ? b : a));
  }

  // ------------------------------------------------------------------------------------------------- shards that stay

  /** What fits, in runs of slots: nobody gives below its share here, and nobody takes above it. */
  fill(): void {
    const givers = this.#givers.filter(({ over }) => over > this.#grain);
    const takers = this.#takers.filter(({ over }) => -over > this.#grain);
    for (let g = 0, t = 0; g < givers.length && t < takers.length; ) {
      const from = givers[g]!;
      const to = takers[t]!;
      this.#giveRun(from, to, Math.min(from.over, -to.over), false);
      // Of whoever has less left to give or to take, nothing more fits.
      if (from.over <= -to.over) g++;
      else t++;
    }
  }

  #giveRun(from: Party, to: Party, limit: number, emptyToo: boolean): void {
    const run: number[] = [];
    let left = limit;
    for (const slot of this.#walk(from.slots, to.id)) {
      const size = this.#sizeOf(slot);
      if (size === 0 && !emptyToo) continue;
      if (size <= left) {
        run.push(slot);
        left -= size;
      } else if (left < this.#grain) break;
    }
    this.#give(from, to, run);
  }

  /** From where the taker's slots are, so that its ranges grow; else from the end. */
  #walk(slots: readonly number[], taker: GroupId): readonly number[] {
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i]!;
      if (this.#owner.get(slot - 1) === taker) return [...slots.slice(i), ...slots.slice(0, i).reverse()];
      if (this.#owner.get(slot + 1) === taker) return [...slots.slice(0, i + 1).reverse(), ...slots.slice(i + 1)];
    }
    return [...slots].reverse();
  }

  /** Slot by slot between the fullest and the neediest, while that makes them more even and they are not even enough. */
  settle(): void {
    const givers = new Set(this.#givers);
    while (givers.size > 0 && this.#takers.length > 0) {
      const from = [...givers].reduce((a, b) => (b.over > a.over ? b : a));
      const to = this.#takers.reduce((a, b) => (b.over < a.over ? b : a));
      const even = from.over <= this.#grain && -to.over <= this.#grain;
      if (even || from.over <= 0 || to.over >= 0) return;
      const slot = this.#bestFit(from, to);
      // Nobody will need more than the neediest does now.
      if (slot === null) givers.delete(from);
      else this.#give(from, to, [slot]);
    }
  }

  /** The largest that fits, else the smallest that overshoots by less than what it mends; null: there is none. */
  #bestFit(from: Party, to: Party): number | null {
    const fits = Math.min(from.over, -to.over);
    const mends = from.over - to.over;
    let best: number | null = null;
    for (const slot of from.slots) {
      const size = this.#sizeOf(slot);
      if (size === 0 || size >= mends) continue;
      const known = best === null ? null : this.#sizeOf(best);
      const better = known === null || (size <= fits ? known > fits || size > known : known > fits && size < known);
      if (better) best = slot;
    }
    return best;
  }

  /** A small slot may have gone before a large one that made it needless. */
  giveBack(): void {
    const leavers = new Set(this.#leavers);
    const given = [...this.#given].filter(([, { from }]) => !leavers.has(from)).sort(([a], [b]) => a - b);
    for (let changed = true; changed; ) {
      changed = false;
      for (const [slot, { from, to }] of given) {
        const size = this.#sizeOf(slot);
        if (!this.#given.has(slot) || size >= to.over - from.over) continue;
        this.#given.delete(slot);
        from.over += size;
        to.over -= size;
        changed = true;
      }
    }
  }

  moves(): SlotMove[] {
    const pairs = new Map<string, { readonly from: GroupId; readonly to: GroupId; readonly slots: number[] }>();
    for (const [slot, { from, to }] of this.#given) {
      const key = `${from.id} ${to.id}`;
      const pair = pairs.get(key) ?? { from: from.id, to: to.id, slots: [] };
      pairs.set(key, pair);
      pair.slots.push(slot);
    }
    return [...pairs.values()]
      .map(({ from, to, slots }) => ({ from, to, slots: slotsOf(slots) }))
      .sort((a, b) => a.from - b.from || a.to - b.to);
  }
}
