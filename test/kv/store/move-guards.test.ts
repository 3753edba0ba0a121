/** The guards table of resharding.md, cell by cell: a shard in each situation meets each command of older, same and newer moves. */
import { describe, expect, it } from 'vitest';
import type { KvCommand } from '../../../src/kv/store/index.js';
import type { SlotRanges } from '../../../src/shardctrl/index.js';
import { EVERYTHING, put } from './support/commands.js';
import { Machine } from './support/machine.js';
import { exportAll, keysIn, moveSlots, purge } from './support/moves.js';

const SLOTS: SlotRanges = [
  [0, 80],
  [200, 260],
];
const MOVE = 10;
const KEYS = keysIn(SLOTS, 12);

async function owner(): Promise<Machine> {
  const shard = await Machine.create();
  await shard.run({ kind: 'init', slots: EVERYTHING });
  for (const key of KEYS) await shard.run(put(key, `value of ${key}`));
  return shard;
}

const step = (kind: 'begin_export' | 'abort_import' | 'unfreeze' | 'delete', move = MOVE): KvCommand =>
  ({ kind, move, slots: SLOTS }) as KvCommand;
const freezing = (round: number, move = MOVE): KvCommand => ({ kind: 'freeze', move, round, slots: SLOTS });
const thaw = (round: number, move = MOVE): KvCommand => ({ kind: 'thaw', move, round, slots: SLOTS });
const bar = (round: number, move = MOVE): KvCommand => ({ kind: 'bar', move, round, slots: SLOTS });

async function after(shard: Machine, ...commands: KvCommand[]): Promise<Machine> {
  for (const command of commands) await shard.run(command);
  return shard;
}

async function importer(move = MOVE): Promise<Machine> {
  const source = await after(await owner(), step('begin_export', move), freezing(1, move));
  const records = (await exportAll(source, SLOTS)).flat();
  return after(await Machine.create(), { kind: 'page', move, slots: SLOTS, records });
}

async function installed(): Promise<Machine> {
  const source = await owner();
  const shard = await Machine.create();
  await moveSlots(source, shard, MOVE, SLOTS);
  return shard;
}

const SITUATIONS = {
  'NONE, new': async () => after(await Machine.create(), { kind: 'expire', keys: [], idempotency: [] }),
  'NONE, left-overs of import 10': async () => after(await importer(), step('abort_import')),
  'NONE, import 10 aborted and purged': async () => {
    const shard = await after(await importer(), step('abort_import'));
    await purge(shard, MOVE, SLOTS);
    return shard;
  },
  'NONE, 10 aborted before it began': async () => after(await Machine.create(), step('abort_import')),
  'NONE, given away by 10': async () => {
    const shard = await after(await owner(), step('begin_export'), freezing(1), step('delete'));
    await purge(shard, MOVE, SLOTS);
    return shard;
  },
  'OWN, new': () => owner(),
  'OWN, 10 undone': async () => after(await owner(), step('begin_export'), step('unfreeze')),
  'OWN, 10 undone before it began': async () => after(await owner(), step('unfreeze')),
  'OWN, installed by 10': () => installed(),
  'EXPORTING 10': async () => after(await owner(), step('begin_export')),
  'FROZEN 10, round 1': async () => after(await owner(), step('begin_export'), freezing(1)),
  'EXPORTING 10, thawed round 1': async () => after(await owner(), step('begin_export'), freezing(1), thaw(1)),
  'FROZEN 10, round 2': async () => after(await owner(), step('begin_export'), freezing(1), thaw(1), freezing(2)),
  'PURGING 10': async () => after(await owner(), step('begin_export'), freezing(1), step('delete')),
  'IMPORTING 10': () => importer(),
  'IMPORTING 10, barred round 1': async () => after(await importer(), bar(1)),
} as const;
type Situation = keyof typeof SITUATIONS;

const COLUMNS = [
  'begin',
  'page',
  'freeze1',
  'freeze2',
  'install1',
  'install2',
  'bar1',
  'bar2',
  'thaw1',
  'thaw2',
  'abort',
  'unfreeze',
  'delete',
] as const;
type Column = (typeof COLUMNS)[number];

/** Answers, by column; `*`: accepted, the state changes. */
type Row = string;

const OLDER: Row = 'stale stale stale stale stale stale stale stale stale stale ended ended ok';
const NEWER_AT_BUSY: Row = 'busy busy stale stale stale stale stale stale stale stale busy busy stale';
const NEWER_AT_NONE: Row = 'busy ok* stale stale stale stale stale stale stale stale aborted* busy stale';
const NEWER_AT_OWN: Row = 'ok* busy stale stale stale stale stale stale stale stale busy ok* stale';
const ABORTED: Row = 'stale aborted stale stale aborted aborted aborted aborted stale stale aborted stale stale';
const UNDONE: Row = 'undone stale stale stale stale stale stale stale stale stale stale ok stale';

/** What move 10 itself, a newer one (11) and an older one (9; null: there is none) are answered. */
const TABLE: Readonly<Record<Situation, readonly [same: Row, newer: Row, older: Row | null]>> = {
  'NONE, new': [NEWER_AT_NONE, NEWER_AT_NONE, null],
  'NONE, left-overs of import 10': [
    ABORTED,
    'busy busy stale stale stale stale stale stale stale stale aborted* busy stale',
    OLDER,
  ],
  'NONE, import 10 aborted and purged': [ABORTED, NEWER_AT_NONE, OLDER],
  'NONE, 10 aborted before it began': [ABORTED, NEWER_AT_NONE, OLDER],
  'NONE, given away by 10': [
    'stale stale stale stale stale stale stale stale stale stale stale stale ok',
    NEWER_AT_NONE,
    OLDER,
  ],
  'OWN, new': [NEWER_AT_OWN, NEWER_AT_OWN, null],
  'OWN, 10 undone': [UNDONE, NEWER_AT_OWN, OLDER],
  'OWN, 10 undone before it began': [UNDONE, NEWER_AT_OWN, OLDER],
  'OWN, installed by 10': [
    'stale ok stale stale installed installed installed installed stale stale installed stale stale',
    NEWER_AT_OWN,
    OLDER,
  ],
  'EXPORTING 10': [
    'ok stale frozen* frozen* stale stale stale stale stale stale stale ok* stale',
    NEWER_AT_BUSY,
    OLDER,
  ],
  'FROZEN 10, round 1': [
    'ok stale frozen stale stale stale stale stale thawed* stale stale ok* ok*',
    NEWER_AT_BUSY,
    OLDER,
  ],
  'EXPORTING 10, thawed round 1': [
    'ok stale round_over frozen* stale stale stale stale thawed stale stale ok* stale',
    NEWER_AT_BUSY,
    OLDER,
  ],
  'FROZEN 10, round 2': [
    'ok stale round_over frozen stale stale stale stale thawed thawed* stale ok* ok*',
    NEWER_AT_BUSY,
    OLDER,
  ],
  'PURGING 10': ['stale stale stale stale stale stale stale stale stale stale stale stale ok', NEWER_AT_BUSY, OLDER],
  'IMPORTING 10': [
    'stale ok stale stale installed* installed* ok* ok* stale stale aborted* stale stale',
    NEWER_AT_BUSY,
    OLDER,
  ],
  'IMPORTING 10, barred round 1': [
    'stale ok stale stale round_over installed* ok ok* stale stale aborted* stale stale',
    NEWER_AT_BUSY,
    OLDER,
  ],
};

function command(column: Column, move: number, shard: Machine): KvCommand {
  const { digest } = shard.machine.sums(SLOTS);
  switch (column) {
    case 'begin':
      return step('begin_export', move);
    case 'page':
      return { kind: 'page', move, slots: SLOTS, records: [] };
    case 'freeze1':
    case 'freeze2':
      return freezing(column === 'freeze1' ? 1 : 2, move);
    case 'install1':
    case 'install2': {
      const round = column === 'install1' ? 1 : 2;
      return { kind: 'install', move, round, slots: SLOTS, digest, revision: 1, clock_ms: 1 };
    }
    case 'bar1':
    case 'bar2':
      return bar(column === 'bar1' ? 1 : 2, move);
    case 'thaw1':
    case 'thaw2':
      return thaw(column === 'thaw1' ? 1 : 2, move);
    case 'abort':
      return step('abort_import', move);
    case 'unfreeze':
      return step('unfreeze', move);
    case 'delete':
      return step('delete', move);
  }
}

async function answersOf(situation: Situation, move: number): Promise<Row> {
  const cells: string[] = [];
  for (const column of COLUMNS) {
    const shard = await SITUATIONS[situation]();
    const before = shard.machine.stateHash();
    const result = await shard.run(command(column, move, shard));
    const changed = shard.machine.stateHash() !== before;
    cells.push(`${result.kind}${changed ? '*' : ''}`);
    await shard.reopen();
    const repeated = await shard.run(command(column, move, shard));
    if (changed || result.kind === 'frozen') {
      expect(repeated, `${column} repeated`).toEqual(result);
    }
  }
  return cells.join(' ');
}

describe('F55 F56 F57 F60: guards of a move', () => {
  for (const [situation, [same, newer, older]] of Object.entries(TABLE)) {
    it(`${situation}: commands of its own move`, async () => {
      expect(await answersOf(situation as Situation, MOVE)).toBe(same);
    });
    it(`${situation}: commands of a newer move`, async () => {
      expect(await answersOf(situation as Situation, MOVE + 1)).toBe(newer);
    });
    if (older !== null) {
      it(`${situation}: commands of an older move`, async () => {
        expect(await answersOf(situation as Situation, MOVE - 1)).toBe(older);
      });
    }
  }
});
