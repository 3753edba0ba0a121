import { describe, expect, it } from 'vitest';
import { pack } from '../../src/kv/server/json-rpc.js';
import { Method } from '../../src/kv/server/rpc.js';
import { encodeCommand, type KvCommand } from '../../src/kv/store/index.js';
import { Ambush } from './ambush.js';
import { SimScheduler } from './fakes/clock.js';
import { SimNetwork } from './fakes/network.js';
import { SimRandom } from './fakes/random.js';
import type { Fault } from './faults.js';
import { HEADER_BYTES } from './rpc-frames.js';
import { Trace } from './trace.js';

const MOVE = 7;
const begun: KvCommand = { kind: 'begin_export', move: MOVE, slots: [[1, 2]] };
const page = (records: number): KvCommand => ({
  kind: 'page',
  move: MOVE,
  slots: [[1, 2]],
  records: Array.from({ length: records }, () => Buffer.alloc(1)),
});

function ambushed(faults: readonly Fault[]) {
  const scheduler = new SimScheduler();
  const random = new SimRandom(5);
  const network = new SimNetwork(scheduler, random);
  const asked: string[] = [];
  const ambush = new Ambush({
    scheduler,
    network,
    random,
    faults: new Set(faults),
    leaders: () => [],
    handOver: () => {},
    hurry: (_, what) => asked.push(what),
    trace: new Trace(scheduler, false),
  });
  return { scheduler, network, asked, ambush };
}

/** What clients were asked for while a move of many pages went by. */
async function hastes(faults: readonly Fault[], pages: number, records: number): Promise<string[]> {
  const { scheduler, asked, ambush } = ambushed(faults);
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

describe('an Install that comes late', () => {
  const install = (move: number): Buffer => {
    const header = Buffer.alloc(HEADER_BYTES);
    header[2] = Method.Page;
    const command = {
      kind: 'install',
      move,
      slots: [[1, 2]],
      round: 1,
      digest: '0'.repeat(32),
      revision: 1,
      clock_ms: 0,
    } as const;
    return Buffer.concat([header, pack({ shard: 2, commands: [new Uint8Array(encodeCommand(command, 0))] })]);
  };
  const freeze: KvCommand = { kind: 'freeze', move: MOVE, slots: [[1, 2]], round: 1 };
  const receipt = {
    index: 1,
    keys: 0,
    bytes: 0,
    idempotencyRecords: 0,
    digest: '0'.repeat(32),
    revision: 1,
    clock_ms: 0,
  };

  it('is of the move that has frozen, is late each time it is sent, and not for ever', async () => {
    const { ambush, network, scheduler } = ambushed(['late_install']);
    ambush.applied(begun, { kind: 'ok' }, 1);
    expect(network.heldUp_ms(install(MOVE))).toBeNull();
    for (let i = 0; i < 20; i++) ambush.applied(freeze, { kind: 'frozen', receipt }, 1);
    expect(network.heldUp_ms(install(MOVE))).toBeGreaterThan(0);
    expect(network.heldUp_ms(install(MOVE))).toBeGreaterThan(0);
    expect(network.heldUp_ms(install(MOVE + 1))).toBeNull();
    await scheduler.runFor(7_000);
    expect(network.heldUp_ms(install(MOVE))).toBeNull();
  });
});
