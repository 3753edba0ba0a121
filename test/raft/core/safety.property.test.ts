import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Faults, RandomCluster } from './random-cluster.js';

const STEPS = 12_000;
const RUNS = { seed: 20240917, numRuns: 60 };

/** Runs one seed; throws at the first violation. */
function run(seed: number, size: number, faults: Faults): RandomCluster {
  const cluster = new RandomCluster(seed, size, faults);
  for (let i = 0; i < STEPS; i++) {
    cluster.step();
    if (i % 50 === 0) cluster.checkLogMatching();
  }
  cluster.calm();
  cluster.checkLogMatching();
  return cluster;
}

const seeds = fc.integer({ min: 1, max: 2 ** 31 - 1 });

describe('a few cores on a bad network (Figure 3: election safety, log matching, leader completeness, state machine safety)', () => {
  it('three replicas, messages lost, repeated and reordered (F1, F9, F10, F11)', () => {
    let applied = 0;
    let reads = 0;
    fc.assert(
      fc.property(seeds, (seed) => {
        const cluster = run(seed, 3, { loss: 0.1, repeat: 0.1, crash: 0, membership: false });
        applied += cluster.committed.length;
        reads += cluster.readsAnswered;
      }),
      RUNS,
    );
    expect(applied).toBeGreaterThan(1_000);
    expect(reads).toBeGreaterThan(100);
  });

  it('five replicas that also crash, losing what was not synced (F1, F2, F3, F9)', () => {
    let elections = 0;
    fc.assert(
      fc.property(seeds, (seed) => {
        elections += run(seed, 5, { loss: 0.05, repeat: 0.05, crash: 0.3, membership: false }).leaders.size;
      }),
      RUNS,
    );
    expect(elections).toBeGreaterThan(60);
  });

  it('three replicas, compaction and snapshots that race with appends (F4, F5, F6, F8)', () => {
    let snapshots = 0;
    fc.assert(
      fc.property(seeds, (seed) => {
        snapshots += run(seed, 3, { loss: 0.2, repeat: 0.1, crash: 0.2, membership: false }).snapshotsInstalled;
      }),
      RUNS,
    );
    expect(snapshots).toBeGreaterThan(50);
  });

  it('members come and go, directly and through joint configurations (F18, F19, F20, F21, F22, F23)', () => {
    let changes = 0;
    fc.assert(
      fc.property(seeds, (seed) => {
        changes += run(seed, 3, { loss: 0.05, repeat: 0.05, crash: 0.1, membership: true }).confChanges;
      }),
      RUNS,
    );
    expect(changes).toBeGreaterThan(50);
  });
});
