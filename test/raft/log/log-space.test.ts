/** What the log costs: bytes on disk, bytes read when it is opened, and what an idle group leaves behind. */
import { describe, expect, it } from 'vitest';
import { index, term } from '../../../src/raft/index.js';
import { entry, hard, snapshotAt } from '../../contract/log-storage.contract.js';
import { SimDisk } from '../../sim/fakes/disk.js';
import { SimRandom } from '../../sim/fakes/random.js';
import { DrivenLog, damagedOf, differences, type LogOp } from './log-model.js';

const SEGMENT_BYTES = 8192;
const OPTIONS = { segmentBytes: SEGMENT_BYTES, zeroAheadBytes: 1024 };

const append = (group: number, at: number, bytes: number): LogOp => ({
  kind: 'write',
  write: { group, hardState: null, snapshot: null, entries: [entry(at, 1, 'x'.repeat(bytes))] },
});
const compact = (group: number, to: number): LogOp => ({ kind: 'compact', group, to: index(to), toTerm: term(1) });

function newLog(disk: SimDisk): DrivenLog {
  const driven = new DrivenLog(disk, OPTIONS);
  for (const group of [1, 2]) {
    driven.durably({
      kind: 'write',
      write: {
        group,
        hardState: hard(5, group, 1),
        snapshot: snapshotAt(0, 0),
        entries: [entry(1, 5, `first of ${group}`)],
      },
    });
  }
  return driven;
}

function maintained(driven: DrivenLog): void {
  while (driven.log.maintain(4096)) driven.sync();
  driven.sync();
}

/** Writes `count` entries to group 1 and keeps only the last few. */
function churn(driven: DrivenLog, from: number, count: number): void {
  for (let at = from; at < from + count; at++) {
    driven.durably(append(1, at, 500), compact(1, Math.max(1, at - 3)));
    maintained(driven);
  }
}

describe('the space a log takes', () => {
  it('keeps an idle group’s vote and entries, and the disk bounded, while another group writes for ever', () => {
    const disk = new SimDisk({ random: new SimRandom('space') });
    const driven = newLog(disk);
    let most = 0;
    for (let round = 0; round < 40; round++) {
      churn(driven, 2 + round * 50, 50);
      most = Math.max(most, disk.usedBytes());
    }
    expect(most).toBeLessThan(6 * SEGMENT_BYTES);
    disk.crash();
    const found = new DrivenLog(disk, OPTIONS).found;
    expect(damagedOf(found)).toEqual([]);
    expect(differences(found, driven.image)).toEqual([]);
    expect(found.get(2)?.hardState).toEqual(hard(5, 2, 1));
    expect(found.get(2)?.entries.length).toBe(1);
  });

  it('is opened with reads in proportion to what is live, not to what was ever written', () => {
    const disk = new SimDisk({ random: new SimRandom('reopen') });
    const driven = newLog(disk);
    churn(driven, 2, 2000);
    driven.log.close();
    disk.kill();
    disk.bytesRead = 0;
    const found = new DrivenLog(disk, OPTIONS).found;
    expect(differences(found, driven.image)).toEqual([]);
    expect(2000 * 500).toBeGreaterThan(100 * SEGMENT_BYTES);
    expect(disk.bytesRead).toBeLessThan(8 * SEGMENT_BYTES);
  });

  it('copies live entries of a big group too, until half of the log is live', () => {
    const disk = new SimDisk({ random: new SimRandom('copies') });
    const driven = newLog(disk);
    for (let at = 2; at < 100; at++) driven.durably(append(2, at, 400));
    churn(driven, 2, 1000);
    const live = 100 * 430 + 5 * 530;
    expect(disk.usedBytes()).toBeLessThan(2 * live + 5 * SEGMENT_BYTES);
    disk.crash();
    const found = new DrivenLog(disk, OPTIONS).found;
    expect(differences(found, driven.image)).toEqual([]);
    expect(damagedOf(found)).toEqual([]);
    expect(found.get(2)?.entries.length).toBe(99);
  });

  it('F38: finds corruption of what it copies, before the original goes', () => {
    const disk = new SimDisk({ random: new SimRandom('copy-corrupt') });
    const driven = newLog(disk);
    const segment = disk.list()[0]!;
    const at = disk.contents(segment).indexOf('first of 2');
    disk.flipBit(segment, at, 2);
    expect(() => churn(driven, 2, 2000)).toThrow(/segment 1 of the log is corrupt at byte/);
    disk.kill();
    expect(damagedOf(new DrivenLog(disk, OPTIONS).found)).toEqual([2]);
  });
});
