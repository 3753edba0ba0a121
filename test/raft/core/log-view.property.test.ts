import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Entry, EntryKind, index, term } from '../../../src/raft/core/index.js';
import { Inflights } from '../../../src/raft/core/inflights.js';
import { entryBytes, LogView } from '../../../src/raft/core/log-view.js';

const RUNS = { seed: 13, numRuns: 300 };

const entry = (i: number, t: number, size: number): Entry => ({
  term: term(t),
  index: index(i),
  kind: i % 5 === 0 ? EntryKind.ConfChange : EntryKind.Command,
  data: new Uint8Array(size),
});

const empty = (): LogView => new LogView({ index: index(0), term: term(0) }, [], index(0), index(0));

type Op = readonly ['append' | 'truncate' | 'commit' | 'write' | 'apply' | 'compact', number];
const op: fc.Arbitrary<Op> = fc.tuple(
  fc.constantFrom('append', 'append', 'truncate', 'commit', 'write', 'apply', 'compact'),
  fc.nat(9),
);

/** The same log, kept as an array that forgets nothing. */
class Model {
  all: Entry[] = [];
  base = 0;
  commit = 0;
  stable = 0;
  applied = 0;
}

function perform(log: LogView, model: Model, [name, n]: Op): void {
  switch (name) {
    case 'append': {
      const t = Math.max(1, (model.all.at(-1)?.term ?? 1) + (n === 0 ? 1 : 0));
      const next = entry(model.all.length + 1, t, n);
      model.all.push(next);
      log.append(next);
      return;
    }
    case 'truncate': {
      const from = model.all.length - n;
      if (from <= model.commit) return;
      model.all.length = from - 1;
      model.stable = Math.min(model.stable, from - 1);
      log.truncateFrom(from);
      return;
    }
    case 'commit':
      model.commit = Math.max(model.commit, Math.min(model.all.length, model.commit + n));
      log.commitTo(model.commit);
      return;
    case 'write':
      expect(log.takeEntriesToWrite()).toEqual(model.all.slice(model.stable));
      model.stable = model.all.length;
      log.stableTo(model.stable);
      return;
    case 'apply':
      expect(log.takeEntriesToApply()).toEqual(model.all.slice(model.applied, Math.min(model.commit, model.stable)));
      model.applied = Math.max(model.applied, Math.min(model.commit, model.stable));
      log.appliedTo(model.applied);
      return;
    case 'compact':
      model.base = Math.max(model.base, model.applied - n);
      log.compact(model.base);
      return;
  }
}

function compare(log: LogView, model: Model): void {
  const live = model.all.slice(model.base);
  const size = (entries: readonly Entry[]): number => entries.reduce((sum, e) => sum + entryBytes(e), 0);
  expect([log.first, log.last, log.commit, log.stable]).toEqual([
    model.base + 1,
    model.all.length,
    model.commit,
    model.stable,
  ]);
  expect(log.bytes).toBe(size(live));
  expect(log.uncommittedBytes).toBe(size(model.all.slice(model.commit)));
  expect(log.slice(log.first, Number.POSITIVE_INFINITY)).toEqual(live);
  for (let i = 0; i <= model.all.length + 1; i++) {
    const known = i >= model.base && i <= model.all.length;
    expect(log.termAt(i)).toBe(known ? (i === 0 ? 0 : model.all[i - 1]!.term) : null);
  }
  const conf = model.all.find((e) => e.index > model.applied && e.kind === EntryKind.ConfChange);
  expect(log.firstUnappliedConf).toBe(conf?.index ?? 0);
}

describe('the log in memory, against an array that forgets nothing', () => {
  it('entries, terms, bytes and stages agree after any sequence of operations', () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 120, size: 'max' }), (ops) => {
        const log = empty();
        const model = new Model();
        for (const one of ops) perform(log, model, one);
        compare(log, model);
      }),
      RUNS,
    );
  });

  it('a slice has what fits, at least one entry, and is not changed by what comes later', () => {
    const log = empty();
    for (let i = 1; i <= 6; i++) log.append(entry(i, 1, 10));
    expect(log.slice(2, 0).map((e) => e.index)).toEqual([2]);
    const two = log.slice(2, 2 * entryBytes(log.at(2)));
    expect(two.map((e) => e.index)).toEqual([2, 3]);
    const all = log.slice(2, 1_000_000);
    // Whatever was asked for before.
    expect(log.slice(2, 2 * entryBytes(log.at(2))).map((e) => e.index)).toEqual([2, 3]);
    expect(log.slice(2, 1_000_000)).toEqual(all);
    log.truncateFrom(3);
    log.append(entry(3, 2, 1));
    expect(all.map((e) => e.term)).toEqual([1, 1, 1, 1, 1]);
    expect(log.slice(2, 1_000_000).map((e) => e.term)).toEqual([1, 2]);
  });

  it('after a restart what is applied is committed, and so are its bytes', () => {
    const entries = [1, 2, 3, 4].map((i) => entry(i, 1, 10 * i));
    const log = new LogView({ index: index(0), term: term(0) }, entries, index(2), index(3));
    expect([log.applied, log.commit, log.stable]).toEqual([2, 3, 4]);
    expect(log.uncommittedBytes).toBe(entryBytes(entries[3]!));
    expect(log.bytes).toBe(entries.reduce((sum, e) => sum + entryBytes(e), 0));
    expect(log.takeEntriesToApply().map((e) => e.index)).toEqual([3]);
  });

  it('the last index with a term at most so high is found as by walking back', () => {
    const terms = [1, 1, 3, 3, 3, 4, 7, 7];
    const log = empty();
    terms.forEach((t, i) => {
      log.append(entry(i + 1, t, 0));
    });
    for (let from = 0; from <= terms.length; from++) {
      for (let most = 0; most <= 8; most++) {
        let expected = from;
        while (expected > 0 && terms[expected - 1]! > most) expected--;
        expect(log.lastIndexWithTermAtMost(from, most)).toBe(expected);
      }
    }
  });

  it('refuses what would lose data: truncating, compacting or committing beyond the mark (F4, F26)', () => {
    const log = empty();
    for (let i = 1; i <= 3; i++) log.append(entry(i, 1, 0));
    log.commitTo(2);
    expect(() => log.truncateFrom(2)).toThrow('is committed');
    expect(() => log.commitTo(4)).toThrow('beyond the last entry');
    expect(() => log.compact(1)).toThrow('applied only up to 0');
    expect(() => log.appliedTo(1)).toThrow('handed out only up to 0');
  });
});

describe('the window of Appends in flight (F42)', () => {
  it('counts messages and bytes, and is freed from the front', () => {
    const limits = fc.constantFrom([8, 200] as const, [200, 20_000] as const);
    const sizes = fc.constantFrom(0, 10, 20, 50);
    const freed = fc.constantFrom(0, 0, 1, 1, 1, 2);
    fc.assert(
      fc.property(
        limits,
        fc.array(fc.tuple(sizes, freed), { maxLength: 400, size: 'max' }),
        ([messages, most], steps) => {
          const window = new Inflights(messages, most);
          let model: { end: number; size: number }[] = [];
          let end = 0;
          for (const [size, free] of steps) {
            if (!window.full) {
              end++;
              window.add(end, size);
              model.push({ end, size });
            }
            const upTo = (model[0]?.end ?? 0) + free - 1;
            window.freeTo(upTo);
            model = model.filter((message) => message.end > upTo);
            const bytes = model.reduce((sum, message) => sum + message.size, 0);
            expect([window.count, window.bytes]).toEqual([model.length, bytes]);
            expect([window.full, window.freeBytes]).toEqual([model.length >= messages || bytes >= most, most - bytes]);
          }
        },
      ),
      { seed: 13, numRuns: 60 },
    );
  });
});
