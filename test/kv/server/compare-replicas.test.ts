/** Which replica differs, where, and by what: out of what replicas have said of one mark. */
import { describe, expect, it } from 'vitest';
import {
  compareListings,
  compareReports,
  compareSlots,
  findingsOf,
  parting,
  type Reported,
  type Said,
} from '../../../src/kv/server/verify/compare-replicas.js';
import { names } from '../../../src/kv/server/verify/difference.js';
import type { ListedRecord, RecordListing, ViewReport } from '../../../src/kv/store/index.js';
import type { SlotSums } from '../../../src/shardctrl/index.js';

const NOTHING: SlotSums = { keys: 0, bytes: 0, digest: '0'.repeat(32), idempotencyRecords: 0 };
const sums = (keys: number, name = keys): SlotSums => ({
  keys,
  bytes: keys * 10,
  digest: String(name).padEnd(32, '0'),
  idempotencyRecords: 0,
});

const report = (more: Partial<ViewReport> = {}): ViewReport => ({
  index: 7,
  stateHash: 'h',
  served: [],
  blocks: [NOTHING, sums(3)],
  findings: [],
  findingCount: 0,
  odd: [],
  ...more,
});

const said = <T>(...all: readonly T[]): Said<T>[] => all.map((one, i) => ({ node: `n${i + 1}`, said: one }));

describe('parting', () => {
  const odd = (...texts: readonly string[]) => parting(said(...texts), (text) => text)?.odd ?? null;

  it('is none where all say the same, or one is alone', () => {
    expect([odd('a', 'a', 'a'), odd('a'), odd()]).toEqual([null, null, null]);
  });

  it('names those who differ from most, and all where no majority agrees', () => {
    expect(odd('a', 'b', 'a')).toEqual(['n2']);
    expect(odd('a', 'b', 'a', 'c', 'a')).toEqual(['n2', 'n4']);
    expect(odd('a', 'b')).toEqual(['n1', 'n2']);
    expect(odd('a', 'b', 'c')).toEqual(['n1', 'n2', 'n3']);
    expect(odd('a', 'a', 'b', 'b')).toEqual(['n1', 'n2', 'n3', 'n4']);
  });
});

describe('reports of one mark', () => {
  it('that are the same have no differences', () => {
    expect(compareReports(said(report(), report(), report()))).toEqual({ differences: [], blocks: [] });
  });

  it('tell which states in memory differ, and in which blocks of slots records do', () => {
    const { differences, blocks } = compareReports(
      said(report(), report({ stateHash: 'other', blocks: [NOTHING, sums(2)] }), report()),
    );
    expect(blocks).toEqual([1]);
    expect(differences).toEqual([
      {
        kind: 'replicas',
        nodes: ['n2'],
        slots: null,
        key: null,
        key_encoding: null,
        detail: 'the states in memory: n2 differs from n1 and n3',
      },
    ]);
  });

  it('of which one could not be read whole are compared without it', () => {
    expect(compareReports(said(report(), report({ blocks: null }), report())).blocks).toEqual([]);
    expect(compareReports(said(report({ blocks: null }), report({ blocks: null }))).blocks).toEqual([]);
  });

  it('bring what each has found within itself, and how much more', () => {
    const finding = { kind: 'rotten', slots: [[5, 5]], key: Buffer.from('k'), detail: 'broken' } as const;
    const one: Reported = { node: 'n3', said: report({ findings: [finding], findingCount: 4 }) };
    expect(findingsOf(one)).toEqual([
      { kind: 'rotten', nodes: ['n3'], slots: '5', key: 'k', key_encoding: 'utf8', detail: 'broken' },
      { kind: 'more', nodes: ['n3'], slots: null, key: null, key_encoding: null, detail: 'and 3 more' },
    ]);
    const bytes = { ...finding, key: Buffer.from([0xff, 0]) };
    expect(findingsOf({ node: 'n3', said: report({ findings: [bytes], findingCount: 1 }) })).toMatchObject([
      { key: '/wA=', key_encoding: 'base64' },
    ]);
  });
});

describe('the slots of a block', () => {
  const block = (changes: Readonly<Record<number, SlotSums>>): SlotSums[] =>
    Array.from({ length: 256 }, (_, i) => changes[i] ?? NOTHING);

  it('that differ in the same way are one difference', () => {
    const sound = { 3: sums(1), 4: sums(2), 9: sums(1) };
    const { differences, slots } = compareSlots(2, said(block(sound), block(sound), block({ 9: sums(1, 5) })));
    expect(slots).toEqual([
      [515, 516],
      [521, 521],
    ]);
    expect(differences).toMatchObject([
      {
        nodes: ['n3'],
        slots: '515-516,521',
        detail:
          'n3 differs from n1 and n2: in slot 515 n1 has 1 keys, 10 bytes, digest 10000000; n2 has 1 keys, 10 bytes, digest 10000000; n3 has 0 keys, 0 bytes, digest 00000000',
      },
    ]);
  });

  it('that differ in different ways are told apart', () => {
    const { differences } = compareSlots(0, said(block({ 1: sums(1) }), block({}), block({ 2: sums(1) })));
    expect(differences.map(({ nodes, slots }) => [nodes, slots])).toEqual([
      [['n1'], '1'],
      [['n3'], '2'],
    ]);
  });

  it('of two replicas say that nobody knows who is right', () => {
    const { differences } = compareSlots(0, said(block({ 1: sums(1) }), block({})));
    expect(differences).toMatchObject([
      { nodes: ['n1', 'n2'], detail: expect.stringMatching(/^n1 against n2, and no/) },
    ]);
  });
});

describe('listings', () => {
  const record = (key: string, more: Partial<ListedRecord> = {}): ListedRecord => ({
    slot: 5,
    key: Buffer.from(key),
    token: '',
    state: 'present',
    revision: 7,
    digest: 'd',
    ...more,
  });
  const listing = (records: readonly ListedRecord[], complete = true): RecordListing => ({ records, complete });
  const told = (...all: readonly RecordListing[]) =>
    compareListings(said(...all)).map(({ nodes, key, detail }) => `${nodes} ${key}: ${detail}`);

  it('that are the same have no differences', () => {
    expect(told(listing([record('a')]), listing([record('a')]))).toEqual([]);
  });

  it('name keys of which somebody has none, another one, or a broken one', () => {
    const all = [record('a'), record('b'), record('c')];
    expect(
      told(
        listing(all),
        listing(all),
        listing([record('b', { revision: 6, digest: 'e' }), record('c', { state: 'rotten' })]),
      ),
    ).toEqual([
      'n3 a: n1 has revision 7; n2 has revision 7; n3 has none',
      'n3 b: n1 has revision 7; n2 has revision 7; n3 has revision 6',
      'n3 c: n1 has revision 7; n2 has revision 7; n3 has one that is not what was written',
    ]);
  });

  it('name what an index knows alone, or does not know, also where all replicas have it so', () => {
    const missing = record('a', { state: 'missing', revision: 0, digest: '' });
    expect(told(listing([missing]), listing([missing]))).toEqual([
      'n1,n2 a: n1 has none, though its index knows it; n2 has none, though its index knows it',
    ]);
    expect(told(listing([record('a', { state: 'unlisted' })]), listing([record('a')]), listing([record('a')]))).toEqual(
      ['n1 a: n1 has revision 7, which its index does not know; n2 has revision 7; n3 has revision 7'],
    );
  });

  it('name idempotency records with their key', () => {
    const remembered = record('a', { token: 't', revision: 0 });
    expect(told(listing([remembered]), listing([remembered]), listing([]))).toEqual([
      'n3 a: idempotency record t: n1 has one; n2 has one; n3 has none',
    ]);
  });

  it('that end early say nothing of what may come after', () => {
    const short = listing([record('a'), record('c')], false);
    expect(told(short, listing([record('a'), record('b'), record('c'), record('d')]), short)).toEqual([
      'n2 b: n1 has none; n2 has revision 7; n3 has none',
    ]);
  });
});

it('names are read like a sentence', () => {
  expect([names([]), names(['n1']), names(['n1', 'n2']), names(['n1', 'n2', 'n3'])]).toEqual([
    'nobody',
    'n1',
    'n1 and n2',
    'n1, n2 and n3',
  ]);
});
