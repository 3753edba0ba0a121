/** What two nodes say before they speak, and what they make of it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Answer,
  decodeAnswer,
  decodeHello,
  encodeAnswer,
  encodeHello,
  GreetingReader,
  type Hello,
  REFUSALS,
  refuseIdentity,
  refuseTarget,
  stillAgrees,
} from '../../../src/raft/transport/handshake.js';
import { MalformedFrame, parseAddress } from '../../../src/raft/transport/index.js';

const SEED = 20240917;
const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
const hello: fc.Arbitrary<Hello> = fc.record({
  clusterId: fc.option(name),
  node: name,
  incarnation: name,
  target: fc.option(name),
});
const answer: fc.Arbitrary<Answer> = fc.record({
  clusterId: fc.option(name),
  node: name,
  incarnation: name,
  refusal: fc.option(fc.record({ name: fc.constantFrom(...REFUSALS), detail: name })),
  maxFrame_bytes: fc.nat(),
});

const identity = (clusterId: string | null, incarnation = 'i') => ({ clusterId, node: 'n1', incarnation });

describe('handshake', () => {
  it('gives back what was said, however the bytes are cut, and keeps what follows', () => {
    fc.assert(
      fc.property(hello, answer, fc.nat(200), fc.uint8Array({ maxLength: 20 }), (h, a, cut, tail) => {
        for (const [bytes, check] of [
          [encodeHello(h), (body: Buffer) => expect(decodeHello(body)).toEqual(h)],
          [encodeAnswer(a), (body: Buffer) => expect(decodeAnswer(body)).toEqual(a)],
        ] as const) {
          const reader = new GreetingReader();
          const at = cut % bytes.length;
          expect(reader.push(bytes.subarray(0, at))).toBeNull();
          const greeting = reader.push(Buffer.concat([bytes.subarray(at), tail]));
          expect(greeting!.rest.equals(Buffer.from(tail))).toBe(true);
          check(greeting!.body);
        }
      }),
      { seed: SEED, numRuns: 200 },
    );
  });

  it('meets arbitrary bytes with MalformedFrame and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (raw, magic) => {
        const bytes = Buffer.from(magic ? [0x51, 0x52, 0x54, 0x4d, ...raw] : raw);
        for (const decode of [
          () => new GreetingReader().push(bytes),
          () => decodeHello(bytes),
          () => decodeAnswer(bytes),
        ]) {
          try {
            decode();
          } catch (error) {
            expect(error).toBeInstanceOf(MalformedFrame);
          }
        }
      }),
      { seed: SEED, numRuns: 1000 },
    );
  });

  it('knows a stranger by the first bytes', () => {
    expect(() => new GreetingReader().push(Buffer.from('G'))).toThrow(MalformedFrame);
  });

  it('F28 matches cluster ids, none with any', () => {
    expect(refuseIdentity(identity('a'), identity('a'), null)).toBeNull();
    expect(refuseIdentity(identity('a'), identity(null), null)).toBeNull();
    expect(refuseIdentity(identity(null), identity('b'), null)).toBeNull();
    expect(refuseIdentity(identity('a'), identity('b'), null)?.name).toBe('wrong_cluster');
  });

  it("is meant by its own name, and by nobody's", () => {
    expect(refuseTarget('n1', 'n1')).toBeNull();
    expect(refuseTarget('n1', null)).toBeNull();
    expect(refuseTarget('n1', 'n2')?.name).toBe('wrong_node');
  });

  it('takes no name that is empty', () => {
    const bodyOf = (bytes: Buffer): Buffer => new GreetingReader().push(bytes)!.body;
    const nobody = { clusterId: null, node: '', incarnation: 'i' };
    expect(() => decodeHello(bodyOf(encodeHello({ ...nobody, target: null })))).toThrow(MalformedFrame);
    expect(() => decodeAnswer(bodyOf(encodeAnswer({ ...nobody, refusal: null, maxFrame_bytes: 1 })))).toThrow(
      MalformedFrame,
    );
  });

  it('F24 F25 takes the incarnation that is known, and any while none is', () => {
    expect(refuseIdentity(identity('a'), identity('a', 'x'), 'x')).toBeNull();
    expect(refuseIdentity(identity('a'), identity('a', 'x'), null)).toBeNull();
    expect(refuseIdentity(identity('a'), identity('a', 'y'), 'x')?.name).toBe('wrong_incarnation');
  });

  it('F28 lets a connection live on after a join only if the peer had told that very cluster', () => {
    expect(stillAgrees(null, null, null)).toBe(true);
    expect(stillAgrees('a', null, 'a')).toBe(true);
    expect(stillAgrees(null, 'a', 'a')).toBe(true);
    expect(stillAgrees(null, 'b', 'a')).toBe(false);
    expect(stillAgrees(null, null, 'a')).toBe(false);
  });

  it('reads addresses, IPv6 in brackets', () => {
    expect(parseAddress('h.example:80')).toEqual({ host: 'h.example', port: 80 });
    expect(parseAddress('[::1]:80')).toEqual({ host: '::1', port: 80 });
    for (const bad of ['', 'h', 'h:', ':80', 'h:0', 'h:65536', '::1:80', 'h:8a', '[::1]']) {
      expect(parseAddress(bad), bad).toBeNull();
    }
  });
});
