/** Bytes on disk and between shards: a store that was written by one build is opened by the next. */
import { crc32c } from '@node-rs/crc32';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  encodeIdempotency,
  idempotencyExpires,
  idempotencyFault,
  idempotencySlot,
  isIdempotencyKey,
  recordedResult,
  sameFingerprint,
} from '../../../src/kv/store/idempotency-codec.js';
import {
  after,
  controlKey,
  decodeKeyExpiry,
  encodeKeyExpiry,
  idempotencyExpiryKey,
  idempotencyKey,
  idempotencyStart,
  journalKey,
  keyExpiryKey,
  keyOfRecord,
  keyOfSlotIndex,
  META_KEY,
  numberOfJournal,
  parsePlace,
  placeOf,
  placeOfIdempotency,
  receiptKey,
  recordKey,
  slotIndexKey,
  subjectOfExpiry,
  sumsKey,
  tableStart,
  timeOfExpiry,
} from '../../../src/kv/store/key-layout.js';
import {
  contentFault,
  decodeRecord,
  encodeRecord,
  expiresOf,
  headFault,
  recordFault,
  revisionOf,
  slotOf,
  versionOf,
} from '../../../src/kv/store/record-codec.js';

/** One after the other, as they stand in a row. */
const bytesOf = (...parts: readonly string[]): string => parts.join('');
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const AB = Buffer.from('ab');
/** 2^48 + 2^32 + 5: both halves of a number count. */
const BIG = 0x1_0001_0000_0005;

describe('keys of rows', () => {
  it('stand where the grammar of the layout says', () => {
    const place = placeOf(0x1234, AB, 'tok');
    expect({
      meta: hex(META_KEY),
      table: hex(tableStart(0x11)),
      control: hex(controlKey(7)),
      sums: hex(sumsKey(63)),
      receipt: hex(receiptKey(BIG)),
      journal: hex(journalKey(BIG)),
      record: hex(recordKey(AB)),
      slotIndex: hex(slotIndexKey(0x1234, AB)),
      firstOfSlot: hex(slotIndexKey(0x1234)),
      place: hex(place),
      idempotency: hex(idempotencyKey(place)),
      firstIdempotencyOfSlot: hex(idempotencyStart(0x1234)),
      keyExpiry: hex(keyExpiryKey(BIG, AB)),
      firstExpiry: hex(keyExpiryKey(BIG)),
      idempotencyExpiry: hex(idempotencyExpiryKey(BIG, place)),
      keyExpiryValue: hex(encodeKeyExpiry(0x1234, 3)),
      after: hex(after(AB)),
    }).toEqual({
      meta: '01',
      table: '11',
      control: '0207',
      sums: '033f',
      receipt: '040001000100000005',
      journal: '050001000100000005',
      record: '106162',
      slotIndex: '1112346162',
      firstOfSlot: '111234',
      place: '123400026162746f6b',
      idempotency: '12123400026162746f6b',
      firstIdempotencyOfSlot: '121234',
      keyExpiry: '1300010001000000056162',
      firstExpiry: '130001000100000005',
      idempotencyExpiry: '140001000100000005123400026162746f6b',
      keyExpiryValue: '34120000000000000840',
      after: '616200',
    });
  });

  it('give back what they were made of', () => {
    expect(numberOfJournal(journalKey(BIG))).toBe(BIG);
    expect(timeOfExpiry(keyExpiryKey(BIG, AB))).toBe(BIG);
    expect(hex(subjectOfExpiry(keyExpiryKey(BIG, AB)))).toBe('6162');
    expect(hex(keyOfRecord(recordKey(AB)))).toBe('6162');
    expect(hex(keyOfSlotIndex(slotIndexKey(5, AB)))).toBe('6162');
    const place = placeOf(0x1234, AB, 'tok');
    expect(parsePlace(placeOfIdempotency(idempotencyKey(place)))).toEqual({ slot: 0x1234, key: AB, token: 'tok' });
    expect(decodeKeyExpiry(encodeKeyExpiry(0x1234, 3))).toEqual({ slot: 0x1234, revision: 3 });
    for (const length of [0, 9, 11]) expect(decodeKeyExpiry(Buffer.alloc(length))).toBeNull();
  });

  it('sort by what they begin with: numbers by their size, keys by their bytes', () => {
    const times = fc.tuple(fc.nat(2 ** 40), fc.nat(2 ** 40));
    const sign = (n: number): number => Math.sign(n);
    fc.assert(
      fc.property(times, ([a, b]) => {
        expect(sign(Buffer.compare(keyExpiryKey(a * 8), keyExpiryKey(b * 8)))).toBe(sign(a - b));
      }),
      { seed: 1, numRuns: 100 },
    );
  });
});

describe('a record', () => {
  const fields = { slot: 0x1234, contentType: 'text/x-mine', revision: 258, version: 2, expires_ms: 1_000_000 };
  const row = encodeRecord(AB, fields, Buffer.from('hello'));

  it('stands in the bytes of its format, with its content type as a number or as text', () => {
    expect(hex(row)).toBe(
      // format, type, slot, checksums of head and value, length of the value, revision, version, expiry, content type, value
      bytesOf(
        '01ff3412',
        'b5a28235',
        '4cbb719a',
        '05000000',
        '0000000000207040',
        '0000000000000040',
        '0000000080842e41',
        '0b00',
        hex(Buffer.from('text/x-mine')),
        hex(Buffer.from('hello')),
      ),
    );
    expect(hex(encodeRecord(AB, { ...fields, contentType: 'application/json' }, Buffer.from('{}')))).toBe(
      bytesOf(
        '01043412',
        '7e952786',
        'aad07b29',
        '02000000',
        '0000000000207040',
        '0000000000000040',
        '0000000080842e41',
        '7b7d',
      ),
    );
  });

  it('gives back what it was made of', () => {
    expect(recordFault(AB, row)).toBeNull();
    expect(contentFault(row)).toBeNull();
    const { slot, ...rest } = fields;
    expect(decodeRecord(row)).toEqual({ ...rest, value: Buffer.from('hello') });
    expect([slotOf(row), revisionOf(row), versionOf(row), expiresOf(row)]).toEqual([slot, 258, 2, 1_000_000]);
  });

  it('says what is wrong with it: format, lengths, head, value, key', () => {
    expect(headFault(AB, Buffer.of(2))).toBe('record format 2, this build knows 1');
    for (const length of [0, 1, 39, 40, 41, row.length - 1]) {
      expect(headFault(AB, row.subarray(0, length))).toBe('record lengths do not add up');
    }
    expect(headFault(AB, Buffer.concat([row, Buffer.of(0)]))).toBe('record lengths do not add up');
    expect(headFault(Buffer.from('ac'), row)).toBe('checksum of the record head does not match');
    const changed = Buffer.from(row);
    changed[row.length - 1]! ^= 1;
    expect([headFault(AB, changed), recordFault(AB, changed)]).toEqual([null, 'checksum of the value does not match']);
  });

  it('from elsewhere has whole numbers and a content type that is known here', () => {
    const broken = (more: Partial<typeof fields>): string | null =>
      contentFault(encodeRecord(AB, { ...fields, ...more }, AB));
    const numbers = 'record numbers are no whole numbers';
    expect([broken({}), broken({ version: 0 }), broken({ expires_ms: 0 })]).toEqual([null, null, null]);
    expect([broken({ revision: 0 }), broken({ revision: 1.5 }), broken({ revision: -1 })]).toEqual([
      numbers,
      numbers,
      numbers,
    ]);
    expect([broken({ version: 0.5 }), broken({ expires_ms: -1 })]).toEqual([numbers, numbers]);
    const unknown = encodeRecord(AB, { ...fields, contentType: 'application/json' }, AB);
    expect(contentFault(unknown)).toBeNull();
    unknown[1] = 200;
    expect(contentFault(unknown)).toBe('unknown content type 200');
    expect(() => decodeRecord(unknown)).toThrow('unknown content type 200');
  });
});

describe('an idempotency record', () => {
  const place = placeOf(0x1234, AB, 'tok');
  const fingerprint = Buffer.from(Array.from({ length: 16 }, (_, i) => i + 1));
  const results = [
    { kind: 'stored', created: true, revision: 258, version: 1 },
    { kind: 'stored', created: false, revision: 259, version: 2 },
    { kind: 'deleted', revision: 260 },
    { kind: 'missing' },
    { kind: 'precondition_failed', revision: 261 },
    { kind: 'precondition_failed', revision: null },
  ] as const;

  it('stands in the bytes of its format, and gives back the answer', () => {
    const rows = results.map((result) => encodeIdempotency(place, 0x1234, fingerprint, 1_000_000, result));
    expect(rows.map((row) => [...row.subarray(0, 4)])).toEqual([1, 2, 3, 4, 5, 6].map((n) => [1, n, 0x34, 0x12]));
    expect(hex(rows[0]!)).toBe(
      // format, outcome, slot, checksum, fingerprint, expiry, revision, version
      bytesOf('01013412', '0087cb96', hex(fingerprint), '0000000080842e41', '0000000000207040', '000000000000f03f'),
    );
    expect(rows.map(recordedResult)).toEqual(results);
    for (const row of rows) {
      expect(idempotencyFault(place, row)).toBeNull();
      expect([idempotencySlot(row), idempotencyExpires(row)]).toEqual([0x1234, 1_000_000]);
    }
  });

  it('knows the request that it was made for', () => {
    const row = encodeIdempotency(place, 0x1234, fingerprint, 1_000_000, results[0]);
    expect(sameFingerprint(row, fingerprint)).toBe(true);
    for (const at of [0, 15]) {
      const other = Buffer.from(fingerprint);
      other[at]! ^= 1;
      expect(sameFingerprint(row, other)).toBe(false);
    }
  });

  it('says what is wrong with it: format, length, place, checksum, outcome, time', () => {
    const row = encodeIdempotency(place, 0x1234, fingerprint, 1_000_000, results[0]);
    expect(idempotencyFault(place, Buffer.of(2))).toBe('idempotency record format 2, this build knows 1');
    for (const length of [0, 1, 47]) {
      expect(idempotencyFault(place, row.subarray(0, length))).toBe('idempotency record of a wrong length');
    }
    expect(idempotencyFault(placeOf(0x1234, AB, 'tik'), row)).toBe('checksum of the idempotency record does not match');
    for (let at = 1; at < row.length; at++) {
      const changed = Buffer.from(row);
      changed[at]! ^= 0x10;
      expect(idempotencyFault(place, changed), `byte ${at}`).toBe('checksum of the idempotency record does not match');
    }
    for (const outcome of [0, 7]) {
      const unknown = Buffer.from(row);
      unknown[1] = outcome;
      unknown.writeUInt32LE(crc32c(unknown.subarray(8), crc32c(unknown.subarray(0, 4), crc32c(place))), 4);
      expect(idempotencyFault(place, unknown)).toBe(`unknown recorded outcome ${outcome}`);
    }
    const late = encodeIdempotency(place, 0x1234, fingerprint, 0.5, results[0]);
    expect(idempotencyFault(place, late)).toBe('idempotency record with a broken time');
  });

  it('has a key of 1 to 128 visible ASCII characters', () => {
    for (const key of ['a', '!', '~', 'x'.repeat(128)]) expect(isIdempotencyKey(key), key).toBe(true);
    for (const key of ['', ' ', 'a b', '\x7f', 'ä', 'x'.repeat(129)]) expect(isIdempotencyKey(key), key).toBe(false);
  });
});
