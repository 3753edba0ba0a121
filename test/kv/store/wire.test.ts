/**
 * Commands in the log, results and records between nodes, byte by byte: an entry that an old build wrote is applied by the
 * next one, the same on every replica; whatever does not stand in the grammar is refused by what is wrong with it.
 */
import { describe, expect, it } from 'vitest';
import { needsTime, writeTarget } from '../../../src/kv/store/command-codec.js';
import { contentTypeCode, contentTypeOfCode } from '../../../src/kv/store/content-type.js';
import { encodeIdempotency } from '../../../src/kv/store/idempotency-codec.js';
import {
  decodeCommand,
  decodeLookup,
  decodeResult,
  encodeCommand,
  encodeLookup,
  encodeResult,
  type KvCommand,
} from '../../../src/kv/store/index.js';
import { placeOf } from '../../../src/kv/store/key-layout.js';
import { decodePageRecord, encodePageRecord, encodeRemoval, PageKind } from '../../../src/kv/store/page-codec.js';
import { encodeRecord } from '../../../src/kv/store/record-codec.js';
import { slotOfKey } from '../../../src/shardctrl/index.js';
import { del, put, token } from './support/commands.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const text = (string: string): string => hex(Buffer.from(string));
const bytesOf = (...parts: readonly string[]): string => parts.join('');
const fromHex = (...parts: readonly string[]): Buffer => Buffer.from(bytesOf(...parts), 'hex');

/** Doubles, little-endian. */
const ZERO = '0000000000000000';
const ONE = '000000000000f03f';
const TWO = '0000000000000040';
const THREE = '0000000000000840';
const FIVE = '0000000000001440';
const STAMP = FIVE;
const SLOTS = [
  [1, 2],
  [0x1234, 0x1234],
] as const;
const SLOTS_BYTES = bytesOf('0200', '01000200', '34123412');
const FINGERPRINT = '07'.repeat(16);
const DIGEST = '0123456789abcdef0123456789abcdef';
const KEYS = [{ key: Buffer.from('k'), idempotencyKey: 't' }];
/** 7,629: the slot of `k`. */
const K_SLOT = 'cd1d';
const TOKENS = bytesOf('01000000', '0100', text('k'), '01', text('t'));

const COMMANDS: readonly (readonly [KvCommand, string])[] = [
  [put('k', 'v'), bytesOf('0101', STAMP, '0000', '0100', ZERO, ZERO, text('k'), text('v'))],
  [
    put('k', 'v', {
      contentType: 'a/ü',
      ttl_ms: 2,
      condition: { kind: 'revision', revision: 3 },
      idempotency: token('t', 7),
    }),
    bytesOf(
      '0101',
      STAMP,
      '07ff',
      '0100',
      TWO,
      THREE,
      text('k'),
      '0400',
      text('a/ü'),
      '01',
      text('t'),
      FINGERPRINT,
      text('v'),
    ),
  ],
  [
    put('k', '', { contentType: 'application/json', condition: { kind: 'exists' } }),
    bytesOf('0101', STAMP, '0104', '0100', ZERO, ZERO, text('k')),
  ],
  [del('k', { condition: { kind: 'absent' } }), bytesOf('0102', STAMP, '0200', '0100', ZERO, ZERO, text('k'))],
  [
    del('k', { idempotency: token('t', 7) }),
    bytesOf('0102', STAMP, '0400', '0100', ZERO, ZERO, text('k'), '01', text('t'), FINGERPRINT),
  ],
  [
    { kind: 'expire', keys: [{ key: Buffer.from('k'), revision: 3 }], idempotency: KEYS },
    bytesOf('0103', STAMP, '01000000', '0100', text('k'), THREE, TOKENS),
  ],
  [
    { kind: 'page', move: 2, slots: SLOTS, records: [Buffer.from('rec')] },
    bytesOf('0104', STAMP, TWO, SLOTS_BYTES, '01000000', '03000000', text('rec')),
  ],
  [
    {
      kind: 'purge',
      move: 2,
      parts: [
        {
          slot: slotOfKey(Buffer.from('k')),
          digest: Uint32Array.of(1, 2, 3, 4),
          left: { keys: 1, bytes: 2, idempotency: 3, digest: Uint32Array.of(5, 6, 7, 8) },
          keys: [{ key: Buffer.from('k'), expires_ms: 5 }],
          idempotency: [{ key: Buffer.from('k'), idempotencyKey: 't', expires_ms: 1 }],
        },
      ],
    },
    bytesOf(
      '0108',
      bytesOf(STAMP, TWO, '01000000'),
      bytesOf(K_SLOT, '01000000', '02000000', '03000000', '04000000'),
      bytesOf(ONE, TWO, THREE, '05000000', '06000000', '07000000', '08000000'),
      bytesOf('01000000', '0100', text('k'), FIVE),
      bytesOf('01000000', '0100', text('k'), '01', text('t'), ONE),
    ),
  ],
  [{ kind: 'init', slots: SLOTS }, bytesOf('0106', STAMP, SLOTS_BYTES)],
  [{ kind: 'mark', token: 'n1/s1' }, bytesOf('0107', STAMP, '0500', text('n1/s1'))],
  [{ kind: 'begin_export', move: 2, slots: SLOTS }, bytesOf('010a', STAMP, TWO, SLOTS_BYTES)],
  [{ kind: 'freeze', move: 2, round: 3, slots: SLOTS }, bytesOf('010b', STAMP, TWO, THREE, SLOTS_BYTES)],
  [
    { kind: 'install', move: 2, round: 3, slots: SLOTS, digest: DIGEST, revision: 1, clock_ms: 5 },
    bytesOf('010c', STAMP, TWO, THREE, SLOTS_BYTES, DIGEST, ONE, FIVE),
  ],
  [{ kind: 'bar', move: 2, round: 3, slots: SLOTS }, bytesOf('010d', STAMP, TWO, THREE, SLOTS_BYTES)],
  [{ kind: 'thaw', move: 2, round: 3, slots: SLOTS }, bytesOf('010e', STAMP, TWO, THREE, SLOTS_BYTES)],
  [{ kind: 'abort_import', move: 2, slots: SLOTS }, bytesOf('010f', STAMP, TWO, SLOTS_BYTES)],
  [{ kind: 'unfreeze', move: 2, slots: SLOTS }, bytesOf('0110', STAMP, TWO, SLOTS_BYTES)],
  [{ kind: 'delete', move: 2, slots: SLOTS }, bytesOf('0111', STAMP, TWO, SLOTS_BYTES)],
];

const problem = (...parts: readonly string[]): string => {
  const decoded = decodeCommand(fromHex(...parts));
  return 'detail' in decoded ? decoded.detail : 'none';
};

describe('a command', () => {
  it.each(COMMANDS)('stands in the log in the bytes of its grammar: %j', (command, bytes) => {
    expect(hex(encodeCommand(command, 5))).toBe(bytes);
    expect(decodeCommand(Buffer.from(bytes, 'hex'))).toEqual({ stamp_ms: 5, command });
  });

  it.each(COMMANDS)('that is cut anywhere or goes on is refused, but for the end of a value: %j', (command, bytes) => {
    const whole = Buffer.from(bytes, 'hex');
    const end = command.kind === 'put' ? whole.length - command.value.length : whole.length;
    for (let length = 0; length < end; length++) {
      expect(decodeCommand(whole.subarray(0, length)), `${length} bytes`).toMatchObject({ kind: 'malformed' });
    }
    if (command.kind !== 'put') expect(problem(bytes, '00')).toContain('bytes too many');
  });

  it('is refused by what is wrong with it', () => {
    const head = bytesOf('0101', STAMP);
    expect(problem('0101', STAMP.slice(2))).toBe('command ends inside its head');
    expect(problem(head, '0000', '0100', ZERO)).toBe('command ends inside its head');
    expect(problem('0101', '000000000000e03f', '0000', '0100', ZERO, ZERO, text('k'))).toContain(
      'stamp is not a whole',
    );
    expect(problem(head, '0800', '0100', ZERO, ZERO, text('k'))).toBe('command has unknown flags 8');
    expect(problem(head, '0000', '0000', ZERO, ZERO, text('k'))).toBe('command has a key of 0 bytes');
    expect(problem(head, '0000', '0104', ZERO, ZERO, 'aa'.repeat(1_025))).toBe('command has a key of 1025 bytes');
    expect(problem(head, '0000', '0004', ZERO, ZERO, 'aa'.repeat(1_024))).toBe('none');
    expect(problem(head, '0000', '0200', ZERO, ZERO, text('k'))).toBe('command ends inside its key');
    expect(problem(head, '00ff', '0100', ZERO, ZERO, text('k'), '00')).toBe('command ends inside its content type');
    expect(problem(head, '00ff', '0100', ZERO, ZERO, text('k'), '0200', '61')).toBe(
      'command ends inside its content type',
    );
    expect(problem(head, '00ff', '0100', ZERO, ZERO, text('k'), '0104', '61'.repeat(1_025))).toBe(
      'command has a content type of 1025 bytes',
    );
    expect(problem(head, '00ff', '0100', ZERO, ZERO, text('k'), '0004', '61'.repeat(1_024))).toBe('none');
    expect(problem(head, '0063', '0100', ZERO, ZERO, text('k'))).toContain('unknown content type 99');
    expect(problem(head, '0300', '0100', ZERO, '000000000000f0bf', text('k'))).toContain('revision is not a whole');
    expect(problem(head, '0000', '0100', '000000000000f0bf', ZERO, text('k'))).toContain('ttl is not a whole');
    expect(problem(head, '0400', '0100', ZERO, ZERO, text('k'), '01', text(' '), FINGERPRINT)).toContain(
      'idempotency key',
    );
    expect(problem('0102', STAMP, '0000', '0100', ZERO, ZERO, text('k'), '00')).toBe('command has 1 bytes too many');
    for (const mark of [text(''), text('a b'), '7f', 'c3'])
      expect(problem('0107', STAMP, hex(Buffer.of(mark.length / 2, 0)), mark)).toBe('command has an invalid mark');
    expect(problem('0107', STAMP, 'c900', '61'.repeat(201))).toBe('command has an invalid mark');
    expect(problem('0107', STAMP, 'c800', '61'.repeat(200))).toBe('none');
    for (const kind of ['00', '05', '09', '12', 'ff'])
      expect(problem('01', kind, STAMP, TWO, SLOTS_BYTES)).toContain('unknown kind');
  });

  it('names slots in order, at least one, and keys and idempotency keys that could be', () => {
    const disorder = 'has slots that are no ordered set';
    expect(problem('0106', STAMP, '0000')).toContain(disorder);
    expect(problem('0106', STAMP, '0100', '02000100')).toContain(disorder);
    expect(problem('0106', STAMP, '0100', '00000040')).toContain(disorder);
    expect(problem('0106', STAMP, '0100', '0000ff3f')).toBe('none');
    expect(problem('0103', STAMP, '01000000', '0000', ONE, '00000000')).toContain('has a key of 0 bytes');
    expect(problem('0103', STAMP, '01000000', '0104', 'aa'.repeat(1_025), ONE, '00000000')).toContain('1025 bytes');
    expect(problem('0103', STAMP, '01000000', '0004', 'aa'.repeat(1_024), ONE, '00000000')).toBe('none');
    expect(problem('0103', STAMP, '00000000', '01000000', '0100', text('k'), '01', text(' '))).toContain(
      'idempotency key',
    );
    const install = (revision: number): string => {
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleLE(revision);
      return problem('010c', STAMP, TWO, THREE, SLOTS_BYTES, DIGEST, hex(bytes), FIVE);
    };
    expect([install(2 ** 52), install(2 ** 52 + 1)]).toEqual([
      'none',
      'command has a revision beyond all that can be drawn',
    ]);
  });

  it('that the API must have refused is a mistake of the caller', () => {
    const encoded = (command: KvCommand) => () => encodeCommand(command, 1);
    expect(encoded(put('', 'v'))).toThrow('a key of 0 bytes');
    expect(encoded(put('k'.repeat(1_025), 'v'))).toThrow('a key of 1025 bytes');
    expect(encoded(put('k', 'v', { contentType: 'x'.repeat(1_030) }))).toThrow('overlong content type');
    expect(encoded(put('k', 'v', { idempotency: token('', 1) }))).toThrow('invalid idempotency key');
    const short = { key: 't', fingerprint: Buffer.alloc(15) };
    expect(encoded(put('k', 'v', { idempotency: short }))).toThrow('a fingerprint has 16 bytes');
    expect(encoded({ kind: 'init', slots: [] })).toThrow('names at least one slot');
    for (const mark of ['', 'a b', 'ü', 'm'.repeat(201)]) {
      expect(encoded({ kind: 'mark', token: mark })).toThrow('invalid mark');
    }
    expect(encoded({ kind: 'init', slots: [[5, 4]] })).toThrow('in order');
    const install = { kind: 'install', move: 1, round: 1, slots: SLOTS, revision: 1, clock_ms: 1 } as const;
    expect(encoded({ ...install, digest: 'abc' })).toThrow('32 hexadecimal digits');
  });

  it('is as long as it has to be', () => {
    const records = [300, 1, 5_000].map((length) => Buffer.alloc(length, length));
    const page: KvCommand = { kind: 'page', move: 2, slots: SLOTS, records };
    expect(decodeCommand(encodeCommand(page, 5))).toEqual({ stamp_ms: 5, command: page });
    const longest = put('k'.repeat(1_024), 'v', { contentType: 'x'.repeat(1_022) });
    expect(decodeCommand(encodeCommand(longest, 5))).toEqual({ stamp_ms: 5, command: longest });
  });

  it('has no number below zero, not even a zero', () => {
    const decoded = decodeCommand(fromHex('0101', STAMP, '0000', '0100', '0000000000000080', ZERO, text('k')));
    if (!('command' in decoded) || decoded.command.kind !== 'put') throw new Error('expected a put');
    expect(Object.is(decoded.command.ttl_ms, 0)).toBe(true);
  });

  it('says of itself whose rows it reads, and whether its stamp matters', () => {
    const withToken = encodeCommand(put('k', 'v', { idempotency: token('t', 7) }), 1);
    expect(writeTarget(withToken)).toEqual({ key: Buffer.from('k'), token: token('t', 7) });
    expect(writeTarget(encodeCommand(del('k'), 1))).toEqual({ key: Buffer.from('k'), token: null });
    expect(writeTarget(encodeCommand({ kind: 'init', slots: SLOTS }, 1))).toBeNull();
    expect(writeTarget(withToken.subarray(0, 31))).toBeNull();
    const times = [put('k', 'v', { ttl_ms: 1 }), put('k', 'v'), del('k')].map((write) => encodeCommand(write, 1));
    expect(times.map(needsTime)).toEqual([true, false, false]);
    expect(needsTime(times[0]!.subarray(0, 29))).toBe(false);
  });
});

describe('content types', () => {
  it('have the numbers that they were given first', () => {
    const known = [
      'application/octet-stream',
      'text/plain',
      'text/plain; charset=utf-8',
      'text/plain;charset=UTF-8',
      'application/json',
      'application/x-www-form-urlencoded',
      'text/html',
      'application/xml',
    ];
    expect(known.map(contentTypeCode)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(known.map((_, code) => contentTypeOfCode(code))).toEqual(known);
    expect([contentTypeCode('text/x-mine'), contentTypeOfCode(8)]).toEqual([255, undefined]);
  });
});

describe('a result', () => {
  it('stands in the bytes of its grammar', () => {
    const record = { value: Buffer.from('v'), contentType: 'a/b', revision: 2, version: 3, expires_ms: 5 };
    expect([
      hex(encodeResult({ kind: 'stored', created: true, revision: 2, version: 3 })),
      hex(encodeResult({ kind: 'stored', created: false, revision: 2, version: 3 })),
      hex(encodeResult({ kind: 'deleted', revision: 2 })),
      hex(encodeResult({ kind: 'missing' })),
      hex(encodeResult({ kind: 'precondition_failed', revision: 2 })),
      hex(encodeResult({ kind: 'precondition_failed', revision: null })),
      hex(encodeResult({ kind: 'conflict' })),
      hex(encodeResult({ kind: 'not_serving', slot: 0x1234, state: 3, move: 2 })),
      hex(encodeResult({ kind: 'malformed', detail: 'x' })),
      hex(encodeResult({ kind: 'busy' })),
      hex(encodeLookup({ kind: 'found', record })),
      hex(encodeLookup({ kind: 'found', record: { ...record, contentType: 'text/plain' } })),
      hex(encodeLookup({ kind: 'missing' })),
      hex(encodeLookup({ kind: 'corrupt', detail: 'x' })),
    ]).toEqual([
      bytesOf('0101', '01', TWO, THREE),
      bytesOf('0101', '00', TWO, THREE),
      bytesOf('0102', TWO),
      '0103',
      bytesOf('0104', TWO),
      bytesOf('0104', ZERO),
      '0105',
      bytesOf('0106', '3412', '03', TWO),
      bytesOf('0107', text('x')),
      bytesOf('010a', text('{"kind":"busy"}')),
      bytesOf('0108', 'ff', TWO, THREE, FIVE, '0300', text('a/b'), text('v')),
      bytesOf('0108', '01', TWO, THREE, FIVE, text('v')),
      '0103',
      bytesOf('0109', text('x')),
    ]);
  });

  it('that another build or nobody could have sent is told apart by what is wrong with it', () => {
    const result = (...parts: readonly string[]) => decodeResult(fromHex(...parts));
    const lookup = (...parts: readonly string[]) => decodeLookup(fromHex(...parts));
    const wrong = (detail: string) => ({ kind: 'undecodable', detail });
    expect(result('01')).toEqual(wrong('result ends inside head'));
    expect(result('010b')).toEqual(wrong('result has the unknown kind 11'));
    expect(result('0108')).toEqual(wrong('result has the unknown kind 8'));
    expect(lookup('0101')).toEqual(wrong('result has the unknown kind 1'));
    expect(result('0103', '00')).toEqual(wrong('result 1 bytes too many'));
    expect(result('0106', '3412', '06', TWO)).toEqual(wrong('result has the unknown slot state 6'));
    expect(result('0106', '3412', '05', TWO)).toMatchObject({ kind: 'not_serving', state: 5 });
    expect(result('010a', text('{'))).toEqual(wrong('result is no JSON'));
    for (const answer of ['null', '1', '{}', '{"kind":"found"}']) {
      expect(result('010a', text(answer)), answer).toEqual(wrong('result is no answer of a shard'));
    }
    expect(lookup('0108', '08', TWO, THREE, FIVE)).toEqual(wrong('result has the unknown content type 8'));
    expect(lookup('0108', '00', TWO, THREE)).toEqual(wrong('result ends inside expiry'));
  });

  it('without a layout of its own is an answer to a command of a move', () => {
    const kinds = [
      'ok',
      'frozen',
      'installed',
      'aborted',
      'undone',
      'thawed',
      'ended',
      'stale',
      'round_over',
      'mismatch',
    ];
    for (const kind of [...kinds, 'busy', 'expired', 'purged', 'marked']) {
      expect(decodeResult(fromHex('010a', text(JSON.stringify({ kind }))))).toEqual({ kind });
    }
  });
});

describe('a record on its way to another shard', () => {
  const key = Buffer.from('k');
  const slot = slotOfKey(key);
  const fields = { slot, contentType: 'text/plain', revision: 2, version: 1, expires_ms: 0 };
  const row = encodeRecord(key, fields, Buffer.from('v'));
  const place = placeOf(slot, key, 't');
  const remembered = encodeIdempotency(place, slot, Buffer.alloc(16, 7), 9, { kind: 'missing' });
  const problemOf = (record: Uint8Array) => () => decodePageRecord(record);

  it('stands in the bytes of its grammar, and comes back as it was', () => {
    expect([
      hex(encodePageRecord(PageKind.Key, key, '', row)),
      hex(encodePageRecord(PageKind.Idempotency, key, 't', remembered)),
      hex(encodeRemoval(key, '', 2)),
      hex(encodeRemoval(key, 't', 5)),
    ]).toEqual([
      bytesOf('0101', '0100', '00', text('k'), hex(row)),
      bytesOf('0102', '0100', '01', text('kt'), hex(remembered)),
      bytesOf('0103', '0100', '00', text('k'), TWO),
      bytesOf('0104', '0100', '01', text('kt'), FIVE),
    ]);
    expect(decodePageRecord(encodePageRecord(PageKind.Key, key, '', row))).toEqual({ kind: 'key', slot, key, row });
    const told = { kind: 'idempotency', slot, key, token: 't', place, row: remembered };
    expect(decodePageRecord(encodePageRecord(PageKind.Idempotency, key, 't', remembered))).toEqual(told);
    expect(decodePageRecord(encodeRemoval(key, '', 2))).toEqual({ kind: 'removed', slot, key, token: '', revision: 2 });
    expect(decodePageRecord(encodeRemoval(key, 't', 5))).toEqual({
      kind: 'removed',
      slot,
      key,
      token: 't',
      revision: 5,
    });
  });

  it('is refused by what is wrong with it', () => {
    expect(problemOf(fromHex('0201', '0100', '00', text('k')))).toThrow('page record of format 2');
    expect(problemOf(fromHex('0105', '0100', '00', text('k')))).toThrow('unknown kind 5');
    expect(problemOf(fromHex('0103', '0000', '00', TWO))).toThrow('a key of 0 bytes');
    expect(problemOf(fromHex('0103', '0104', '00', 'aa'.repeat(1_025), TWO))).toThrow('a key of 1025 bytes');
    expect(problemOf(fromHex('0103', '0004', '00', 'aa'.repeat(1_024), TWO))).not.toThrow();
    expect(problemOf(fromHex('0103', '0200', '00', text('k')))).toThrow('ends inside key');
    expect(problemOf(fromHex('0103', '0100', '01', text('kt'), TWO))).toThrow('invalid idempotency key');
    expect(problemOf(fromHex('0104', '0100', '00', text('k'), TWO))).toThrow('invalid idempotency key');
    expect(problemOf(fromHex('0103', '0100', '00', text('k'), TWO, '00'))).toThrow('1 bytes too many');
    expect(problemOf(encodePageRecord(PageKind.Key, Buffer.from('l'), '', row))).toThrow('checksum of the record head');
    const elsewhere = encodeRecord(key, { ...fields, slot: slot ^ 1 }, Buffer.from('v'));
    expect(problemOf(encodePageRecord(PageKind.Key, key, '', elsewhere))).toThrow('of another slot');
    const fraction = encodeRecord(key, { ...fields, version: 0.5 }, Buffer.from('v'));
    expect(problemOf(encodePageRecord(PageKind.Key, key, '', fraction))).toThrow('no whole numbers');
    expect(problemOf(encodePageRecord(PageKind.Idempotency, key, 'u', remembered))).toThrow('idempotency record');
    const stray = encodeIdempotency(place, slot ^ 1, Buffer.alloc(16, 7), 9, { kind: 'missing' });
    expect(problemOf(encodePageRecord(PageKind.Idempotency, key, 't', stray))).toThrow('of another slot');
  });
});
