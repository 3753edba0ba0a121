/** Messages of every shape, for property tests. */
import fc from 'fast-check';
import {
  type ConfState,
  type Entry,
  type EntryKind,
  type Index,
  index,
  type Message,
  type MessageType,
  type SnapshotMeta,
  type Term,
  term,
} from '../../../src/raft/core/index.js';
import type { GroupMessage } from '../../../src/raft/transport/index.js';

const whole = fc.oneof(fc.nat(1000), fc.nat(), fc.maxSafeNat());

const entries: fc.Arbitrary<Entry[]> = fc
  .tuple(
    fc.nat(),
    fc.array(fc.tuple(whole, fc.constantFrom<EntryKind>(0, 1, 2), fc.uint8Array({ maxLength: 200 })), { maxLength: 8 }),
  )
  .map(([first, rows]) =>
    rows.map(([t, kind, data], i) => ({ term: term(t), index: index(first + i), kind, data: Buffer.from(data) })),
  );

const members = fc.array(fc.record({ id: whole, node: fc.string({ unit: 'grapheme', maxLength: 12 }) }), {
  maxLength: 4,
});

const conf: fc.Arbitrary<ConfState> = fc.record({
  voters: members,
  outgoing: members,
  learners: members,
  learnersNext: members,
  autoLeave: fc.boolean(),
});

const snapshot: fc.Arbitrary<SnapshotMeta> = fc.record({ index: whole.map(index), term: whole.map(term), conf });

const message: fc.Arbitrary<Message> = fc.record({
  type: fc.integer({ min: 1, max: 12 }) as fc.Arbitrary<MessageType>,
  from: whole,
  to: whole,
  term: whole as fc.Arbitrary<Term>,
  index: whole as fc.Arbitrary<Index>,
  logTerm: whole as fc.Arbitrary<Term>,
  commit: whole as fc.Arbitrary<Index>,
  entries,
  reject: fc.boolean(),
  hint: whole as fc.Arbitrary<Index>,
  context: whole,
  snapshot: fc.option(snapshot),
});

export const groupMessage: fc.Arbitrary<GroupMessage> = fc.record({
  group: fc.nat(0xffff_ffff),
  message,
});
