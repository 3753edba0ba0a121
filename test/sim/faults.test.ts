import { describe, expect, it } from 'vitest';
import { SimRandom } from './fakes/random.js';
import { drawFaults, type Fault } from './faults.js';

const drawn = Array.from({ length: 2_000 }, (_, seed) => drawFaults(new SimRandom(seed).fork('faults')));
const withFault = (fault: Fault): Set<Fault>[] => drawn.filter((faults) => faults.has(fault));

describe('the faults of a seed', () => {
  it('are some', () => {
    expect(drawn.every((faults) => faults.size > 0)).toBe(true);
  });

  it('leave room for what a cluster does by itself where that is to be seen', () => {
    const balanced = withFault('auto_balance');
    const still = balanced.filter((faults) => !faults.has('shuttle'));
    expect(still.length).toBeGreaterThan(balanced.length / 2);
    expect(balanced.some((faults) => faults.has('shuttle'))).toBe(true);
    // Those need slots on the move.
    for (const fault of ['haste', 'oust', 'hang_up', 'torn_page', 'late_install'] as const)
      expect(withFault(fault).every((faults) => faults.has('shuttle'))).toBe(true);
  });
});
