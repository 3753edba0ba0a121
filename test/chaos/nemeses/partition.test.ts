/** The shapes of partitions are what their names say. */
import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../sim/fakes/random.js';
import { type Direction, directionName } from '../links/links.js';
import { SHAPES } from './partition.js';

const random = new SimRandom('shapes');
const nodes = (count: number): string[] => Array.from({ length: count }, (_, i) => `n${i + 1}`);

/** Whom each node still exchanges messages with, in both directions, itself included. */
function circle(ids: readonly string[], cuts: readonly Direction[], id: string): string[] {
  const cut = new Set(cuts.map(directionName));
  return ids.filter((other) => other === id || !(cut.has(`${id}→${other}`) || cut.has(`${other}→${id}`)));
}

describe('partitions', () => {
  it.each([3, 4, 5, 7])('isolate one of %i nodes', (count) => {
    const ids = nodes(count);
    const { cuts } = SHAPES.isolate(ids, random);
    expect(circle(ids, cuts, 'n1')).toEqual(['n1']);
    expect(circle(ids, cuts, 'n2')).toEqual(ids.slice(1));
  });

  it.each([3, 4, 5, 7])('cut one direction only, of %i nodes', (count) => {
    for (let i = 0; i < 20; i++) {
      const { cuts } = SHAPES.oneWay(nodes(count), random);
      const cut = new Set(cuts.map(directionName));
      expect(cuts.length).toBeGreaterThan(0);
      expect(cuts.some(({ from, to }) => cut.has(`${to}→${from}`))).toBe(false);
    }
  });

  it.each([3, 4, 5, 7])('halve %i nodes so that at most one half has a majority', (count) => {
    const ids = nodes(count);
    const { cuts } = SHAPES.halves(ids, random);
    const circles = ids.map((id) => circle(ids, cuts, id));
    expect(new Set(circles.map(String)).size).toBe(2);
    expect(Math.min(...circles.map((each) => each.length))).toBeLessThanOrEqual(count / 2);
  });

  it.each([5, 7, 9])('make a ring of %i nodes in which everyone sees a majority and no two the same', (count) => {
    const ids = nodes(count);
    const { cuts } = SHAPES.ring(ids, random);
    const circles = ids.map((id) => circle(ids, cuts, id));
    expect(new Set(circles.map(String)).size).toBe(count);
    for (const each of circles) expect(each.length).toBeGreaterThan(count / 2);
    for (const each of circles) expect(each.length).toBeLessThan(count);
  });

  it('make a ring of three in which each is heard by one only', () => {
    const { cuts } = SHAPES.ring(nodes(3), random);
    expect(cuts.map(directionName)).toEqual(['n1→n3', 'n2→n1', 'n3→n2']);
  });

  it.each([3, 4, 5, 7])('bridge %i nodes by one that hears all', (count) => {
    const ids = nodes(count);
    const { cuts } = SHAPES.bridge(ids, random);
    expect(circle(ids, cuts, 'n1')).toEqual(ids);
    for (const id of ids.slice(1)) expect(circle(ids, cuts, id).length).toBeLessThan(count);
    expect(cuts.length).toBeGreaterThan(0);
  });
});
