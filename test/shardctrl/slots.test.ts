import calculateSlot from 'cluster-key-slot';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc16, slotOfKey } from '../../src/shardctrl/index.js';

const bytes = (text: string): Buffer => Buffer.from(text, 'utf8');

describe('slotOfKey', () => {
  it('is CRC16/XMODEM: the check value of the catalogue', () => {
    expect(crc16(bytes('123456789'))).toBe(0x31c3);
  });

  it('gives the slots that Redis Cluster gives', () => {
    // CLUSTER KEYSLOT of a Redis server.
    expect(slotOfKey(bytes('foo'))).toBe(12182);
    expect(slotOfKey(bytes('bar'))).toBe(5061);
    expect(slotOfKey(bytes('somekey'))).toBe(11058);
    expect(slotOfKey(bytes('foo{hash_tag}'))).toBe(2515);
  });

  it('hashes only the tag: between the first { and the next }', () => {
    expect(slotOfKey(bytes('{user1000}.following'))).toBe(slotOfKey(bytes('{user1000}.followers')));
    expect(slotOfKey(bytes('a{user1000}b{c}'))).toBe(slotOfKey(bytes('user1000')));
    expect(slotOfKey(bytes('foo{{bar}}zap'))).toBe(slotOfKey(bytes('{bar')));
  });

  it('hashes the whole key where there is no tag, an empty one or an open one', () => {
    for (const key of ['', '}', '{', 'a}b{c', '{}', 'foo{}{bar}', '{}a{b}', 'foo{bar']) {
      expect(slotOfKey(bytes(key)), key).toBe(crc16(bytes(key)) & 0x3fff);
    }
  });

  it('agrees with the Redis client library on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (key) => {
        fc.pre(!Buffer.from(key).includes('{}'));
        expect(slotOfKey(key)).toBe(calculateSlot(Buffer.from(key)));
      }),
      { seed: 1 },
    );
  });

  it('hashes bytes, not text: a view into a bigger buffer, bytes that are no UTF-8', () => {
    const big = Buffer.from('xx{tag}yy');
    expect(slotOfKey(big.subarray(2, 7))).toBe(slotOfKey(bytes('tag')));
    expect(slotOfKey(Uint8Array.of(0xff, 0x00, 0x80))).toBe(crc16(Uint8Array.of(0xff, 0x00, 0x80)) & 0x3fff);
  });
});
