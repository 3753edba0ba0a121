import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeCommand,
  decodeLookup,
  decodeResult,
  encodeCommand,
  encodeLookup,
  encodeResult,
  type KvCommand,
  type KvResult,
  type LookupResult,
  stampCommand,
} from '../../../src/kv/store/index.js';
import { normalizeSlots, SLOT_COUNT, slotOfKey } from '../../../src/shardctrl/index.js';
import { EVERYTHING, put } from './support/commands.js';
import { Machine } from './support/machine.js';

const count = fc.maxSafeNat();
const key = fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes));
const idempotencyKey = fc.string({
  minLength: 1,
  maxLength: 128,
  unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
});
const idempotency = fc.option(
  fc.record({
    key: idempotencyKey,
    fingerprint: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((b) => Buffer.from(b)),
  }),
);
const condition = fc.oneof(
  fc.constantFrom({ kind: 'none' as const }, { kind: 'exists' as const }, { kind: 'absent' as const }),
  fc.record({ kind: fc.constant('revision' as const), revision: count }),
);
const slot = fc.nat(SLOT_COUNT - 1);
const slots = fc
  .array(fc.tuple(slot, slot), { minLength: 1, maxLength: 8 })
  .map((pairs) => normalizeSlots(pairs.map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)));
const bytes = fc.uint8Array({ maxLength: 60 }).map((b) => Buffer.from(b));
const tokens = fc.array(fc.record({ key, idempotencyKey }), { maxLength: 3 });
const move = count;
const round = count;
const digest = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((b) => Buffer.from(b).toString('hex'));
const kind = <K extends string>(name: K) => fc.constant(name);

const words = fc.uint32Array({ minLength: 4, maxLength: 4 });
const sums = fc.record({ keys: count, bytes: count, idempotency: count, digest: words });
const part = fc
  .record({ key, expires_ms: count, tokens: fc.array(idempotencyKey, { maxLength: 2 }), digest: words, left: sums })
  .map(({ key, expires_ms, tokens, digest, left }) => ({
    slot: slotOfKey(key),
    digest,
    left,
    keys: [{ key, expires_ms }],
    idempotency: tokens.map((idempotencyKey) => ({ key, idempotencyKey, expires_ms })),
  }));
const parts = fc
  .uniqueArray(part, { minLength: 1, maxLength: 3, selector: ({ slot }) => slot })
  .map((found) => found.sort((a, b) => a.slot - b.slot));

const command: fc.Arbitrary<KvCommand> = fc.oneof(
  fc.record({
    kind: kind('put'),
    key,
    value: bytes,
    contentType: fc.constantFrom('application/octet-stream', 'text/plain', 'application/json', 'x/ünicode', ''),
    ttl_ms: count,
    condition,
    idempotency,
  }),
  fc.record({ kind: kind('delete'), key, condition, idempotency }),
  fc.record({
    kind: kind('expire'),
    keys: fc.array(fc.record({ key, revision: count }), { maxLength: 3 }),
    idempotency: tokens,
  }),
  fc.record({ kind: kind('page'), move, slots, records: fc.array(bytes, { maxLength: 3 }) }),
  fc.record({ kind: kind('purge'), move, parts }),
  fc.record({ kind: kind('init'), slots }),
  fc.record({ kind: kind('mark'), token: idempotencyKey }),
  fc.record({ kind: kind('begin_export'), move, slots }),
  fc.record({ kind: kind('freeze'), move, round, slots }),
  fc.record({
    kind: kind('install'),
    move,
    round,
    slots,
    digest,
    revision: fc.maxSafeNat().map((n) => Math.floor(n / 2)),
    clock_ms: count,
  }),
  fc.record({ kind: kind('bar'), move, round, slots }),
  fc.record({ kind: kind('thaw'), move, round, slots }),
  fc.record({ kind: kind('abort_import'), move, slots }),
  fc.record({ kind: kind('unfreeze'), move, slots }),
  fc.record({ kind: kind('delete'), move, slots }),
);

describe('commands', () => {
  it('come back as they were, with the stamp that they got last', () => {
    fc.assert(
      fc.property(command, count, count, (given, first_ms, stamp_ms) => {
        const encoded = encodeCommand(given, first_ms);
        stampCommand(encoded, stamp_ms);
        expect(decodeCommand(encoded)).toEqual({ stamp_ms, command: given });
      }),
      { seed: 1, numRuns: 2_000 },
    );
  });

  it('share the bytes of values and keys with the log entry', () => {
    const encoded = encodeCommand(put('k', 'value'), 1);
    const decoded = decodeCommand(encoded);
    if (!('command' in decoded) || decoded.command.kind !== 'put') throw new Error('expected a put');
    encoded[encoded.length - 1] = '!'.charCodeAt(0);
    expect(Buffer.from(decoded.command.value).toString()).toBe('valu!');
  });

  it('of any bytes give a result and never throw, in the codec and in the state machine', async () => {
    const shard = await Machine.create();
    await shard.run({ kind: 'init', slots: [[0, 9_000]] });
    const mutated = fc
      .tuple(command, count, fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 4 }), fc.nat(30))
      .map(([given, stamp_ms, changes, cut]) => {
        const encoded = Buffer.from(encodeCommand(given, stamp_ms));
        for (const [at, value] of changes) if (at < encoded.length) encoded[at] = value;
        return encoded.subarray(0, encoded.length - Math.max(0, cut - 25));
      });
    fc.assert(
      fc.property(fc.oneof(mutated, bytes), (data) => {
        const result = shard.applyBytes(data);
        expect(typeof result.kind).toBe('string');
      }),
      { seed: 2, numRuns: 5_000 },
    );
  });

  it('of another format or kind are refused by name', () => {
    const encoded = encodeCommand(put('k', 'v'), 1);
    encoded[0] = 9;
    expect(decodeCommand(encoded)).toEqual({ kind: 'malformed', detail: 'command has format 9, this build knows 1' });
    encoded[0] = 1;
    encoded[1] = 99;
    expect(decodeCommand(encoded)).toEqual({ kind: 'malformed', detail: 'command has the unknown kind 99' });
    expect(decodeCommand(Buffer.alloc(0))).toMatchObject({ kind: 'malformed' });
  });

  it('that would use up the revision counter are refused', () => {
    const install = {
      kind: 'install' as const,
      move: 1,
      round: 1,
      slots: EVERYTHING,
      digest: '0'.repeat(32),
      clock_ms: 1,
    };
    const bytes = encodeCommand({ ...install, revision: Number.MAX_SAFE_INTEGER }, 1);
    expect(decodeCommand(bytes)).toMatchObject({ kind: 'malformed' });
  });
});

const RESULTS: readonly KvResult[] = [
  { kind: 'stored', created: true, revision: 2 ** 53 - 1, version: 3 },
  { kind: 'stored', created: false, revision: 1, version: 2 },
  { kind: 'deleted', revision: 7 },
  { kind: 'missing' },
  { kind: 'precondition_failed', revision: null },
  { kind: 'precondition_failed', revision: 4 },
  { kind: 'conflict' },
  { kind: 'not_serving', slot: 16_383, state: 3, move: 2 ** 40 },
  { kind: 'malformed', detail: 'grün' },
  { kind: 'busy' },
  { kind: 'installed', index: 3, sums: { keys: 1, bytes: 2, digest: '0'.repeat(32), idempotencyRecords: 0 } },
  { kind: 'expired', keys: 3 },
  { kind: 'purged', left: 0 },
  { kind: 'marked', index: 9 },
];

const record = { value: Buffer.from('v'), contentType: 'text/plain', revision: 5, version: 2, expires_ms: 9 };
const LOOKUPS: readonly LookupResult[] = [
  { kind: 'found', record },
  { kind: 'found', record: { ...record, value: Buffer.alloc(0), contentType: 'a/ü', expires_ms: 0 } },
  { kind: 'missing' },
  { kind: 'not_serving', slot: 0, state: 0, move: 0 },
  { kind: 'corrupt', detail: 'checksum' },
];

describe('results between nodes', () => {
  it('come back as they were', () => {
    for (const result of RESULTS) expect(decodeResult(encodeResult(result))).toEqual(result);
    for (const result of LOOKUPS) expect(decodeLookup(encodeLookup(result))).toEqual(result);
  });

  it('of any bytes are told, never thrown', () => {
    const samples = [...RESULTS.map(encodeResult), ...LOOKUPS.map(encodeLookup)];
    const damaged = fc.tuple(fc.constantFrom(...samples), fc.nat(60), fc.nat(255)).map(([sample, at, value]) => {
      const changed = Buffer.from(sample);
      changed[at % changed.length] = value;
      return changed;
    });
    fc.assert(
      fc.property(fc.oneof(damaged, bytes), (data) => {
        expect(typeof decodeResult(data).kind).toBe('string');
        expect(typeof decodeLookup(data).kind).toBe('string');
      }),
      { seed: 3, numRuns: 3_000 },
    );
    expect(decodeResult(Buffer.from([2, 3]))).toEqual({
      kind: 'undecodable',
      detail: 'result has format 2, this build knows 1',
    });
  });
});
