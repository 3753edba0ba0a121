import { describe, expect, it } from 'vitest';
import { EntryKind, type Message, MessageType, NO_ENTRIES } from '../../src/raft/core/index.js';
import { decodeMessages, encodeMessages } from '../../src/raft/transport/index.js';
import { SimScheduler } from './fakes/clock.js';
import type { RaftFilter } from './fakes/network.js';
import { SimRandom } from './fakes/random.js';
import type { ReplicaView } from './invariants/invariant.js';
import { Muffle } from './muffle.js';
import { without } from './raft-frames.js';
import { Trace } from './trace.js';

const BARE = {
  from: 1,
  to: 2,
  term: 3,
  index: 4,
  logTerm: 3,
  commit: 4,
  entries: NO_ENTRIES,
  reject: false,
  hint: 0,
  context: 0,
  snapshot: null,
};
const messageOf = (type: MessageType, more: Partial<Message> = {}): Message => ({ ...BARE, type, ...more }) as Message;
const entry = { index: 5, term: 3, kind: EntryKind.Command, data: Buffer.from('x') };
const append = messageOf(MessageType.Append, { entries: [entry] as unknown as Message['entries'] });
const probe = messageOf(MessageType.Append);
const beat = messageOf(MessageType.Heartbeat);
const taken = messageOf(MessageType.AppendResponse);
const refused = messageOf(MessageType.AppendResponse, { reject: true });

const frameOf = (...messages: readonly (readonly [number, Message])[]): Uint8Array =>
  encodeMessages(messages.map(([group, message]) => ({ group: group as never, message })))[0]!;

function kindsIn(frame: Uint8Array | null): string[] {
  const found: string[] = [];
  if (frame !== null)
    decodeMessages(Buffer.from(frame), (group, { type, entries }) =>
      found.push(`${group}/${type}${entries.length > 0 ? '+' : ''}`),
    );
  return found;
}

const leader = (outgoing: readonly string[] = []): ReplicaView =>
  ({ node: 'n1', group: 1, replica: { conf: { outgoing } } }) as unknown as ReplicaView;

function world(seed: number) {
  const scheduler = new SimScheduler();
  const log: string[] = [];
  let filter: RaftFilter | null = null;
  const muffle = new Muffle({
    scheduler,
    random: new SimRandom(seed),
    trace: new Trace(scheduler, false),
    nodes: ['n1', 'n2', 'n3'].map((id) => ({ id })),
    leaders: () => [leader()],
    crash: (node) => log.push(`${node} falls`),
    network: {
      filterRaft: (next) => {
        filter = next;
      },
      heal: () => log.push('heals'),
      isolate: (node) => log.push(`${node} is cut off`),
    },
  });
  const arrives = (from: string, to: string): string[] => {
    const frame = frameOf([1, append], [2, append], [1, probe], [1, beat], [1, taken], [1, refused]);
    return filter === null ? ['all'] : kindsIn(filter(frame, from, to));
  };
  return { scheduler, log, muffle, arrives };
}

describe('a frame', () => {
  it('loses the messages of one group that are meant, or goes as it is', () => {
    const frame = frameOf([1, append], [2, append], [1, beat]);
    const isAppend = ({ type }: Message): boolean => type === MessageType.Append;
    expect(kindsIn(without(frame, 1 as never, isAppend))).toEqual([
      `2/${MessageType.Append}+`,
      `1/${MessageType.Heartbeat}`,
    ]);
    expect(without(frame, 3 as never, isAppend)).toBe(frame);
    expect(without(frameOf([1, append]), 1 as never, isAppend)).toBeNull();
  });
});

describe('a leader', () => {
  it('loses what follows on the first half of a change of members, and nothing else, and falls', async () => {
    const { scheduler, log, muffle, arrives } = world(1);
    for (let i = 0; i < 20; i++) muffle.reconfigured(leader());
    expect(arrives('n1', 'n2')).toEqual(['all']);
    for (let i = 0; i < 20; i++) muffle.reconfigured(leader(['n2']));
    const { Append, Heartbeat, AppendResponse } = MessageType;
    const rest = [`2/${Append}+`, `1/${Append}`, `1/${Heartbeat}`, `1/${AppendResponse}`, `1/${AppendResponse}`];
    expect(arrives('n1', 'n2')).toEqual(rest);
    expect(arrives('n2', 'n1')).toHaveLength(6);
    await scheduler.runFor(100);
    expect(log).toEqual([]);
    await scheduler.runFor(10_000);
    expect(['n1 falls', 'n1 is cut off,heals']).toContain(log.join());
    expect(arrives('n1', 'n2')).toEqual(['all']);
  });

  it('is not heard in one way or another, now and then', () => {
    const lost = new Set<string>();
    for (let seed = 1; seed <= 40; seed++) {
      const { muffle, arrives } = world(seed);
      muffle.begin();
      lost.add(`${6 - arrives('n1', 'n2').length} from it, ${6 - arrives('n2', 'n1').length} to it`);
      muffle.end();
      expect(arrives('n1', 'n2')).toEqual(['all']);
    }
    // Entries or a heartbeat; or what was taken, while what was refused arrives.
    expect([...lost].sort()).toEqual(['0 from it, 1 to it', '1 from it, 0 to it']);
  });
});
