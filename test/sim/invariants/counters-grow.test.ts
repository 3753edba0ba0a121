import { describe, expect, it } from 'vitest';
import type { KvCommand, KvResult } from '../../../src/kv/store/index.js';
import { CountersGrow } from './counters-grow.js';

const begin: KvCommand = { kind: 'begin_export', move: 7, slots: [[0, 60]] };
const install: KvCommand = {
  kind: 'install',
  move: 7,
  round: 1,
  slots: [[0, 60]],
  digest: '',
  revision: 9,
  clock_ms: 9,
};
const installed: KvResult = {
  kind: 'installed',
  index: 1,
  sums: { keys: 0, bytes: 0, digest: '', idempotencyRecords: 0 },
};

describe('what a shard counts', () => {
  it.each(['clock_ms', 'revision'] as const)('must not fall: %s', (what) => {
    const counters = new CountersGrow();
    const now = { clock_ms: 5, revision: 5 };
    expect(counters.applied(begin, { kind: 'ok' }, now)).toBeNull();
    expect(counters.applied(begin, { kind: 'ok' }, now)).toBeNull();
    expect(counters.applied(begin, { kind: 'ok' }, { ...now, [what]: 4 })).toBe(`${what} is 4 after 5`);
  });

  it.each(['clock_ms', 'revision'] as const)('must have reached by an Install what the source had: %s', (what) => {
    const short = { clock_ms: 9, revision: 9, [what]: 8 };
    const behind = `${what} is 8 after 9, which its source had reached`;
    expect(new CountersGrow().applied(install, installed, short)).toBe(behind);
    expect(new CountersGrow().applied(install, { kind: 'stale' }, short)).toBeNull();
    expect(new CountersGrow().applied(install, installed, { clock_ms: 9, revision: 10 })).toBeNull();
  });
});
