import { describe, expect, it } from 'vitest';
import { SimRandom } from './fakes/random.js';
import { drawFaults, type Fault } from './faults.js';

const drawn = Array.from({ length: 2_000 }, (_, seed) => drawFaults(new SimRandom(seed).fork('faults')));
const withFault = (fault: Fault): Set<Fault>[] => drawn.filter((faults) => faults.has(fault));
const HARMS: readonly Fault[] = ['rot', 'wipe', 'old_copy'];
const harmsOf = (faults: ReadonlySet<Fault>): Fault[] => HARMS.filter((harm) => faults.has(harm));

describe('the faults of a seed', () => {
  it('are some', () => {
    expect(drawn.every((faults) => faults.size > 0)).toBe(true);
  });

  it('harm a disk for good where members change only if members change with that in mind, and then in one way', () => {
    const harmed = withFault('members_harm');
    expect(harmed.length).toBeGreaterThan(100);
    expect(harmed.every((faults) => faults.has('members') && harmsOf(faults).length === 1)).toBe(true);
    expect(new Set(harmed.flatMap(harmsOf))).toEqual(new Set(HARMS));
    const unharmed = withFault('members').filter((faults) => !faults.has('members_harm'));
    expect(unharmed.length).toBeGreaterThan(100);
    expect(unharmed.flatMap(harmsOf)).toEqual([]);
  });

  it('leave room for what a cluster does by itself where that is to be seen', () => {
    const balanced = withFault('auto_balance');
    const still = balanced.filter((faults) => !faults.has('shuttle'));
    expect(still.length).toBeGreaterThan(balanced.length / 2);
    expect(balanced.some((faults) => faults.has('shuttle'))).toBe(true);
    // Those need slots on the move.
    for (const fault of ['haste', 'oust', 'hang_up', 'torn_page', 'late_install', 'late_step', 'heir'] as const)
      expect(withFault(fault).every((faults) => faults.has('shuttle'))).toBe(true);
  });
});
