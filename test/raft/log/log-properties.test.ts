/**
 * Random writes, truncations, compactions, removals, full disks, power cuts and flipped bits against the model: after a
 * power cut the log holds what it held after some batch that is not older than the last sync; after a flipped bit every
 * group is that or damaged.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Entry, index, type RecoveredGroup, term } from '../../../src/raft/index.js';
import { entry, hard, snapshotAt } from '../../contract/log-storage.contract.js';
import { SimDisk } from '../../sim/fakes/disk.js';
import { SimRandom } from '../../sim/fakes/random.js';
import { applyOp, DrivenLog, damagedOf, differences, groupText, type LogImage, type LogOp } from './log-model.js';

const GROUPS = [0, 1, 2, 5];
const OPTIONS = { segmentBytes: 4096, zeroAheadBytes: 512 };

/** An operation that a correct caller may ask for in this state. */
function drawOp(random: SimRandom, image: LogImage): LogOp {
  const group = random.pick(GROUPS);
  const state = image.get(group);
  if (state === undefined) return write(group, random, { snapshot: random.int(0, 3) });
  if (state.damaged !== null) return { kind: 'remove', group };
  const last = lastIndex(state);
  const roll = random.next();
  if (roll < 0.06) return { kind: 'remove', group };
  if (roll < 0.12) return write(group, random, { snapshot: last + random.int(0, 5) });
  if (roll < 0.2) return write(group, random, { hard: true });
  if (roll < 0.4 && last > state.compacted.index) {
    const to = random.int(state.compacted.index + 1, last);
    return { kind: 'compact', group, to: index(to), toTerm: term(1) };
  }
  const from = random.chance(0.8) ? last + 1 : random.int(state.compacted.index + 1, last + 1);
  return write(group, random, { entriesFrom: from, hard: random.chance(0.3) });
}

interface Draw {
  readonly snapshot?: number;
  readonly hard?: boolean;
  readonly entriesFrom?: number;
}

function write(group: number, random: SimRandom, draw: Draw): LogOp {
  const snapshot = draw.snapshot === undefined ? null : snapshotAt(draw.snapshot, 1, `e${random.u32()}`);
  const hardState = draw.hard ? hard(random.int(1, 99), random.int(0, 3), random.int(0, 99)) : null;
  const from = draw.entriesFrom ?? (snapshot !== null && random.chance(0.5) ? snapshot.index + 1 : null);
  const entries: Entry[] = [];
  for (let i = 0; from !== null && i < random.int(1, 6); i++) {
    entries.push(entry(from + i, random.int(1, 2), 'x'.repeat(random.int(0, 200)) + random.u32()));
  }
  return { kind: 'write', write: { group, hardState, snapshot, entries } };
}

const lastIndex = (state: RecoveredGroup): number => state.entries.at(-1)?.index ?? state.compacted.index;

function drawOps(random: SimRandom, image: LogImage): LogOp[] {
  const ops: LogOp[] = [];
  let now = image;
  for (let i = random.int(1, 4); i > 0; i--) {
    const op = drawOp(random, now);
    now = applyOp(now, op);
    ops.push(op);
  }
  return ops;
}

/** Some steps of a log's life, which may end while the disk is full. True: the disk was full at times. */
function live(driven: DrivenLog, disk: SimDisk, random: SimRandom, steps: number, endFull = false): boolean {
  let scarce = false;
  for (let step = 0; step < steps; step++) {
    if (random.chance(0.05)) {
      disk.limitTo(disk.usedBytes() + random.int(0, 600));
      scarce = true;
    }
    let result = driven.write(drawOps(random, driven.image));
    if (result === 'full') result = driven.write(drawOps(random, driven.image));
    if (result === 'full' && endFull && random.chance(0.5)) return true;
    disk.limitTo(Number.POSITIVE_INFINITY);
    if (result === 'full') expect(driven.log.retry()).toBe('ok');
    if (random.chance(0.6)) driven.sync();
    if (random.chance(0.3)) {
      driven.sync();
      while (driven.log.maintain(random.int(1, 2000)) && random.chance(0.9)) driven.sync();
    }
    if (random.chance(0.1)) {
      driven.sync();
      driven.log.rest();
    }
  }
  return scarce;
}

/**
 * After a full disk, of what was not synced: each group by itself is as it was after one of the writes, or that and
 * compacted as by one of the next.
 */
function isSurvivorByGroup(found: LogImage, images: readonly LogImage[]): boolean {
  return [...new Set([found, ...images].flatMap((image) => [...image.keys()]))].every((group) =>
    images.some((image, i) => {
      const is = found.get(group);
      const should = image.get(group);
      if (is === undefined || should === undefined) return is === should;
      if (is.damaged !== null || should.damaged !== null) return is.damaged === should.damaged;
      const { index: to, term: toTerm } = is.compacted;
      const latest = Math.max(...images.slice(i).map((later) => later.get(group)?.compacted.index ?? 0));
      const compacted = to > latest ? should : applyOp(image, { kind: 'compact', group, to, toTerm }).get(group)!;
      return groupText(is) === groupText(compacted);
    }),
  );
}

function isSurvivor(found: LogImage, images: readonly LogImage[], scarce: boolean): boolean {
  if (scarce) return isSurvivorByGroup(found, images);
  return images.some(
    (image) => differences(found, image).length === 0 && `${damagedOf(found)}` === `${damagedOf(image)}`,
  );
}

/** null: refused, which is no wrong answer. */
function opened(disk: SimDisk): DrivenLog | null {
  try {
    return new DrivenLog(disk, OPTIONS);
  } catch (error) {
    if ((error as Error).name === 'LogCorrupt') return null;
    throw error;
  }
}

const seeds = fc.integer({ min: 0, max: 2 ** 31 });

describe('the log against its model', { timeout: 120_000 }, () => {
  it('F31 F32 F36: after power cuts it holds a prefix that has everything synced', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const random = new SimRandom(seed);
        const disk = new SimDisk({ random: random.fork('disk'), sectorBytes: 64 });
        let images: readonly LogImage[] = [new Map()];
        let synced = 1;
        let scarce = false;
        for (let life = 0; life < 4; life++) {
          const driven = new DrivenLog(disk, OPTIONS);
          expect(damagedOf(driven.found)).toEqual([]);
          const survivors = images.slice(synced - 1);
          expect(isSurvivor(driven.found, survivors, scarce), `${differences(driven.found, survivors[0]!)}`).toBe(true);
          scarce = live(driven, disk, random, random.int(1, 60), true);
          images = driven.images;
          synced = driven.synced;
          if (random.chance(0.2)) {
            const written = driven.log.retry() === 'ok';
            driven.log.close();
            if (written) synced = images.length;
          }
          disk.limitTo(Number.POSITIVE_INFINITY);
          if (random.chance(0.3)) disk.kill();
          else disk.crash();
        }
      }),
      { seed: 20_240_601, numRuns: 150 },
    );
  });

  it('F34 F35 F38: after a flipped bit every group is whole or damaged', () => {
    let damaged = 0;
    fc.assert(
      fc.property(seeds, (seed) => {
        const random = new SimRandom(seed);
        const disk = new SimDisk({ random: random.fork('disk'), sectorBytes: 64 });
        const driven = new DrivenLog(disk, OPTIONS);
        live(driven, disk, random, random.int(5, 80));
        driven.log.close();
        for (let flips = random.int(1, 3); flips > 0; flips--) disk.flipSomewhere();
        const found = opened(disk)?.found;
        if (found === undefined) return;
        expect(differences(found, driven.image)).toEqual([]);
        damaged += damagedOf(found).length;
      }),
      { seed: 20_240_602, numRuns: 300 },
    );
    expect(damaged).toBeGreaterThan(0);
  });

  it('F34: damage spreads to nobody and is not forgotten, however the log goes on', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const random = new SimRandom(seed);
        const disk = new SimDisk({ random: random.fork('disk'), sectorBytes: 64 });
        const first = new DrivenLog(disk, OPTIONS);
        live(first, disk, random, random.int(5, 60));
        first.log.close();
        disk.flipSomewhere();
        let images: readonly LogImage[] | null = null;
        let scarce = false;
        for (let life = 0; life < 3; life++) {
          const driven = opened(disk);
          // Refused for good, not only until somebody tries again.
          if (driven === null) {
            expect(life).toBe(0);
            return;
          }
          const found = driven.found;
          if (images !== null) {
            expect(isSurvivor(found, images, scarce), `${damagedOf(found)}: ${differences(found, images[0]!)}`).toBe(
              true,
            );
          }
          const untouched = random.chance(0.3);
          scarce = !untouched && live(driven, disk, random, random.int(1, 40));
          images = driven.images.slice(driven.synced - 1);
          disk.crash();
        }
      }),
      { seed: 20_240_603, numRuns: 150 },
    );
  });
});
