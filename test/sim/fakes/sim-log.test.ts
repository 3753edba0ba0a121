import { describe, expect, it } from 'vitest';
import { EntryKind, type LogWrite } from '../../../src/raft/index.js';
import { SimClock, SimScheduler } from './clock.js';
import { SimDisk } from './disk.js';
import { DurableLog } from './durable-log.js';
import { SimRandom } from './random.js';
import { foundAfterPowerCut, SimLog } from './sim-log.js';

const GROUP = 1;
const entriesOf = (from: number, to: number): LogWrite =>
  ({
    group: GROUP,
    hardState: null,
    snapshot: null,
    entries: Array.from({ length: to - from + 1 }, (_, i) => ({
      index: from + i,
      term: 2,
      kind: EntryKind.Command,
      data: Buffer.alloc(400),
    })),
  }) as unknown as LogWrite;
const birth = {
  ...entriesOf(1, 0),
  snapshot: { index: 0, term: 0, conf: { voters: [], outgoing: [], learners: [], learnersNext: [] }, engine: '' },
} as unknown as LogWrite;

describe('what a power cut would leave of a log (F32)', () => {
  it('is what is synced: all that was said to be durable, and not what is on its way', async () => {
    const scheduler = new SimScheduler();
    const random = new SimRandom(1);
    const disk = new SimDisk({ random });
    const durable = new DurableLog();
    const log = new SimLog({ disk, durable, clock: new SimClock(scheduler, { rate: 1 }), random, segmentBytes: 4096 });
    const lastFound = (): number =>
      foundAfterPowerCut(disk, random)
        .get(GROUP as never)
        ?.entries.at(-1)?.index ?? 0;
    void log.append(birth);
    void log.append(entriesOf(1, 8));
    await scheduler.runFor(100);
    expect(lastFound()).toBe(8);
    void log.append(entriesOf(9, 16));
    expect(lastFound()).toBe(8);
    await scheduler.runFor(100);
    expect(lastFound()).toBe(16);
    expect(durable.missingIn(foundAfterPowerCut(disk, random))).toBeNull();

    const [oldest] = disk.list().sort();
    disk.remove(oldest!);
    expect(durable.missingIn(foundAfterPowerCut(disk, random))).toMatch(/was durable; now there is none/);
    // To look changes nothing.
    expect(durable.holds(GROUP as never, 16, 2)).toBe(true);
  });

  it('is looked at whenever a file is removed', () => {
    let removed = 0;
    const disk = new SimDisk({
      random: new SimRandom(1),
      removed: () => {
        removed++;
        expect(disk.list()).toEqual(['b']);
      },
    });
    for (const name of ['a', 'b']) disk.create(name);
    disk.remove('a');
    expect(removed).toBe(1);
  });
});
