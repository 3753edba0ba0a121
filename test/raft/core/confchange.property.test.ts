import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextConf } from '../../../src/raft/core/confchange.js';
import {
  type ConfChange,
  type ConfChangeStep,
  type ConfState,
  decodeConfChange,
  encodeConfChange,
} from '../../../src/raft/core/index.js';
import { confOf } from './random-cluster.js';

const RUNS = { seed: 11, numRuns: 500 };
const member = fc.integer({ min: 1, max: 7 }).map((id) => ({ id, node: `n${id}` }));
const step: fc.Arbitrary<ConfChangeStep> = fc.oneof(
  member.map((m) => ({ op: 'add_voter' as const, member: m })),
  member.map((m) => ({ op: 'add_learner' as const, member: m })),
  member.map((m) => ({ op: 'remove' as const, id: m.id })),
);
const change: fc.Arbitrary<ConfChange> = fc.record({
  steps: fc.array(step, { maxLength: 4 }),
  transition: fc.constantFrom('auto' as const, 'joint_implicit' as const, 'joint_explicit' as const),
});

const idsOf = (list: readonly { id: number }[]): number[] => list.map((m) => m.id);
const overlap = (a: readonly { id: number }[], b: readonly { id: number }[]): number[] =>
  idsOf(a).filter((id) => idsOf(b).includes(id));

function checkConf(conf: ConfState): void {
  expect(conf.voters.length).toBeGreaterThan(0);
  for (const list of [conf.voters, conf.outgoing, conf.learners, conf.learnersNext]) {
    expect(new Set(idsOf(list)).size).toBe(list.length);
  }
  // Nobody both votes and learns; who is to become a learner still votes in the outgoing half, and only there.
  expect(overlap(conf.learners, [...conf.voters, ...conf.outgoing])).toEqual([]);
  expect(overlap(conf.learnersNext, conf.outgoing)).toEqual(idsOf(conf.learnersNext));
  expect(overlap(conf.learnersNext, conf.voters)).toEqual([]);
  if (conf.outgoing.length === 0) expect(conf.autoLeave || conf.learnersNext.length > 0).toBe(false);
}

describe('changes of membership', () => {
  it('whatever is accepted, configurations stay sound, and a direct change moves at most one voter', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
        let conf = confOf([1, 2, 3]);
        for (const one of changes) {
          const next = nextConf(conf, one);
          if (!next.ok) {
            expect(next.detail).not.toBe('');
            continue;
          }
          checkConf(next.conf);
          const before = idsOf(conf.voters);
          const after = idsOf(next.conf.voters);
          const moved = [...before.filter((id) => !after.includes(id)), ...after.filter((id) => !before.includes(id))];
          if (next.conf.outgoing.length === 0) expect(moved.length).toBeLessThanOrEqual(1);
          else expect(idsOf(next.conf.outgoing)).toEqual(before);
          const direct = one.steps.length === 0 || (one.steps.length === 1 && one.transition === 'auto');
          expect(next.conf.outgoing.length === 0).toBe(direct);
          for (const list of [after, idsOf(next.conf.learners)]) expect(list).toEqual(list.toSorted((a, b) => a - b));
          conf = next.conf;
        }
      }),
      RUNS,
    );
  });

  it('that name impossible replicas, or would be made by nobody, are refused with a reason', () => {
    const adding = (id: number): ConfChange => ({
      steps: [{ op: 'add_voter', member: { id, node: 'n9' } }],
      transition: 'auto',
    });
    for (const id of [0, -1, 1.5, 2 ** 53]) {
      expect(nextConf(confOf([1]), adding(id))).toEqual({ ok: false, detail: `${id} is no replica id` });
    }
    expect(nextConf(confOf([]), adding(9))).toEqual({
      ok: false,
      detail: 'a configuration without voters cannot be changed',
    });
  });

  it('leaving a joint configuration makes its demoted voters learners', () => {
    const entered = nextConf(confOf([1, 2, 3], [4]), {
      steps: [
        { op: 'add_voter', member: { id: 4, node: 'n4' } },
        { op: 'add_learner', member: { id: 2, node: 'n2' } },
      ],
      transition: 'auto',
    });
    if (!entered.ok) throw new Error(entered.detail);
    expect(idsOf(entered.conf.voters)).toEqual([1, 3, 4]);
    expect(idsOf(entered.conf.outgoing)).toEqual([1, 2, 3]);
    expect(idsOf(entered.conf.learnersNext)).toEqual([2]);
    expect(entered.conf.autoLeave).toBe(true);
    const left = nextConf(entered.conf, { steps: [], transition: 'auto' });
    if (!left.ok) throw new Error(left.detail);
    expect(left.conf).toEqual(confOf([1, 3, 4], [2]));
  });

  it('a replica does not move to another node', () => {
    const moved = nextConf(confOf([1, 2], [3]), {
      steps: [{ op: 'add_voter', member: { id: 3, node: 'elsewhere' } }],
      transition: 'auto',
    });
    expect(moved).toEqual({ ok: false, detail: 'replica 3 lives on n3, not on elsewhere' });
  });
});

describe('the bytes of a membership change', () => {
  it('are read back as what was written', () => {
    fc.assert(
      fc.property(change, (one) => {
        expect(decodeConfChange(encodeConfChange(one))).toEqual(one);
      }),
      RUNS,
    );
    const far: ConfChange = {
      steps: [{ op: 'add_learner', member: { id: Number.MAX_SAFE_INTEGER, node: 'knøt-7' } }],
      transition: 'auto',
    };
    expect(decodeConfChange(encodeConfChange(far))).toEqual(far);
  });

  it('are refused with a reason when they are cut, longer, of another version or nonsense', () => {
    const bytes = encodeConfChange({
      steps: [{ op: 'add_voter', member: { id: 4, node: 'n4' } }],
      transition: 'auto',
    });
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeConfChange(bytes.subarray(0, length))).toThrow('cut short');
    }
    expect(() => decodeConfChange(new Uint8Array([...bytes, 0]))).toThrow('after its end');
    const changed = (at: number, to: number): Uint8Array => bytes.map((byte, i) => (i === at ? to : byte));
    expect(() => decodeConfChange(changed(0, 2))).toThrow('format 2');
    expect(() => decodeConfChange(changed(1, 9))).toThrow('unknown transition 9');
    expect(() => decodeConfChange(changed(4, 9))).toThrow('unknown step 9');
    expect(() => decodeConfChange(changed(12, 0xff))).toThrow('impossible replica id');
    // A name with other letters than were written would be another node.
    expect(() => decodeConfChange(changed(15, 0xff))).toThrow();
  });

  it('are not written where the counts would not fit', () => {
    const named = (length: number): ConfChange => ({
      steps: [{ op: 'add_voter', member: { id: 4, node: 'n'.repeat(length) } }],
      transition: 'auto',
    });
    expect(decodeConfChange(encodeConfChange(named(0xffff)))).toEqual(named(0xffff));
    expect(() => encodeConfChange(named(0x1_0000))).toThrow('cannot have 65536 bytes');
    const removing = (count: number): ConfChange => ({
      steps: Array.from({ length: count }, (_, i) => ({ op: 'remove', id: i + 1 })),
      transition: 'auto',
    });
    expect(decodeConfChange(encodeConfChange(removing(0xffff))).steps).toHaveLength(0xffff);
    expect(() => encodeConfChange(removing(0x1_0000))).toThrow('cannot have 65536 steps');
  });
});
