/** Links that are cut, silently: packets go out and nobody gets them, in one direction or in both. */
import type { SimRandom } from '../../sim/fakes/random.js';
import { bothWays, type Direction, directionName } from '../links/links.js';
import { drawVictims } from '../site/site.js';
import { type Nemesis, names } from './nemesis.js';

export interface Shape {
  readonly what: string;
  readonly cuts: readonly Direction[];
}

/** `ids` in an order drawn from the seed. */
type Draw = (ids: readonly string[], random: SimRandom) => Shape;

const isolate: Draw = ([alone = '', ...others]) => ({
  what: `${alone} alone`,
  cuts: bothWays([alone], others),
});

/** One node hears the others but is not heard, or the other way round (F40). */
const oneWay: Draw = ([from = '', ...others], random) => {
  const deaf = random.chance(0.5);
  const victims = others.slice(0, random.int(1, others.length));
  const cuts = victims.map((to) => (deaf ? { from: to, to: from } : { from, to }));
  return { what: `one-way, ${cuts.map(directionName).join(' ')} cut`, cuts };
};

const halves: Draw = (ids) => {
  const smaller = ids.slice(0, Math.floor(ids.length / 2));
  const larger = ids.slice(smaller.length);
  return { what: `${names(smaller)} | ${names(larger)}`, cuts: bothWays(smaller, larger) };
};

/** Everyone has a majority, and no two have the same; with fewer than five nodes, each hears only the one before it. */
const ring: Draw = (ids) => {
  const count = ids.length;
  const reach = Math.ceil(Math.floor(count / 2) / 2);
  const cuts = ids.flatMap((from, i) =>
    ids.flatMap((to, j) => {
      const ahead = (j - i + count) % count;
      const heard = count < 5 ? ahead === 1 : Math.min(ahead, count - ahead) <= reach;
      return i === j || heard ? [] : [{ from, to }];
    }),
  );
  return { what: `ring ${ids.join('-')}`, cuts };
};

/** Two halves that do not hear each other, and one node that both hear. */
const bridge: Draw = ([middle = '', ...others]) => {
  const left = others.slice(0, Math.floor(others.length / 2));
  const right = others.slice(left.length);
  return { what: `${names(left)} | ${middle} | ${names(right)}`, cuts: bothWays(left, right) };
};

const nemesis = (variant: string, describe: string, draw: Draw): Nemesis => ({
  name: `partition:${variant}`,
  describe,
  needs: [],
  inject: async (site, random) => {
    const { what, cuts } = draw(drawVictims(site, site.ids, random), random);
    await site.links.set(cuts, { cut: true });
    return { what: `partition ${what}`, heal: () => site.links.heal() };
  },
});

/** For tests: the shapes without a cluster. */
export const SHAPES = { isolate, oneWay, halves, ring, bridge } as const;

export const PARTITIONS: readonly Nemesis[] = [
  nemesis('isolate', 'one node cut off from all others', isolate),
  nemesis('one-way', 'one node is not heard by some, or does not hear them', oneWay),
  nemesis('halves', 'two halves, of which at most one has a majority', halves),
  nemesis('ring', 'everyone has neighbours, no two the same', ring),
  nemesis('bridge', 'two halves joined by one node', bridge),
];
