import { describe, expect, it } from 'vitest';
import type { KvCommand } from '../../src/kv/store/index.js';
import { Ambush } from './ambush.js';
import { SimScheduler } from './fakes/clock.js';
import { SimNetwork } from './fakes/network.js';
import { SimRandom } from './fakes/random.js';
import type { Fault } from './faults.js';
import { Trace } from './trace.js';

const MOVE = 7;
const begun: KvCommand = { kind: 'begin_export', move: MOVE, slots: [[1, 2]] };
const page = (records: number): KvCommand => ({
  kind: 'page',
  move: MOVE,
  slots: [[1, 2]],
  records: Array.from({ length: records }, () => Buffer.alloc(1)),
});

/** What clients were asked for while a move of many pages went by. */
async function hastes(faults: readonly Fault[], pages: number, records: number): Promise<string[]> {
  const scheduler = new SimScheduler();
  const random = new SimRandom(5);
  const asked: string[] = [];
  const ambush = new Ambush({
    scheduler,
    network: new SimNetwork(scheduler, random),
    random,
    faults: new Set(faults),
    leaders: () => [],
    handOver: () => {},
    hurry: (_, what) => asked.push(what),
    trace: new Trace(scheduler, false),
  });
  ambush.applied(begun, { kind: 'ok' }, 1);
  for (let i = 0; i < pages; i++) ambush.applied(page(records), { kind: 'ok' }, 2);
  await scheduler.runFor(1_000);
  return asked;
}

describe('an ambush on a move', () => {
  it('waits for a page, and lets the move get away after a few strikes', async () => {
    const asked = await hastes(['haste'], 100, 1);
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.length).toBeLessThan(3);
    expect(new Set(asked)).toEqual(new Set(['remove']));
  });

  it('leaves pages without records alone, and everything where it is not in the seed', async () => {
    expect(await hastes(['haste'], 100, 0)).toEqual([]);
    expect(await hastes(['kill'], 100, 1)).toEqual([]);
  });
});
