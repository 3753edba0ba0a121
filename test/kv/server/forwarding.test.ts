import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeForwardReply,
  decodeGetRequest,
  decodeWriteRequest,
  encodeGetRequest,
  encodeRefusal,
  encodeResultReply,
  encodeWriteRequest,
  REFUSALS,
} from '../../../src/kv/server/forward-codec.js';
import { ForwardService } from '../../../src/kv/server/forward-service.js';
import { type Handler, Method, type Rpc } from '../../../src/kv/server/rpc.js';
import type { StampClock } from '../../../src/kv/server/stamp-clock.js';
import { decodeCommand, decodeLookup, encodeCommand, needsTime } from '../../../src/kv/store/index.js';
import type { ProposalWaiter, ReadWaiter, ReplicaHost } from '../../../src/raft/index.js';
import { slotOfKey } from '../../../src/shardctrl/index.js';
import { CountedRequests } from './counted-requests.js';
import { put } from './sim-cluster.js';

const bytes = fc.uint8Array({ minLength: 1, maxLength: 64 }).map((array) => Buffer.from(array));

describe('forwarded requests and answers', () => {
  it('come out as they went in', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 32 - 1), fc.nat(16_383), fc.option(fc.nat(10_000)), bytes, (shard, slot, age_ms, key) => {
        const command = Buffer.concat([Buffer.alloc(10), key]);
        expect(decodeWriteRequest(encodeWriteRequest(shard, slot, command))).toEqual({ shard, slot, command });
        const asked = { shard, maxStaleness_ms: age_ms, key };
        expect(decodeGetRequest(encodeGetRequest(asked))).toEqual(asked);
        expect(decodeForwardReply(encodeResultReply(slot, key))).toEqual({ kind: 'result', clock_ms: slot, body: key });
      }),
      { seed: 5 },
    );
    for (const reason of REFUSALS) {
      expect(decodeForwardReply(encodeRefusal(reason, 'n2'))).toEqual({ kind: 'refused', reason, leader: 'n2' });
      expect(decodeForwardReply(encodeRefusal(reason, null))).toEqual({ kind: 'refused', reason, leader: null });
    }
  });

  it('that nobody understands are never taken for a refusal: a write may have been applied', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 8 }), (array) => {
        const reply = decodeForwardReply(Buffer.from(array));
        if (reply.kind === 'refused') expect(array[0] === 1 && array[1]! < REFUSALS.length).toBe(true);
        else expect(reply.kind).toBe('unknown');
      }),
      { seed: 5, numRuns: 1_000 },
    );
  });
});

/** The service in front of one replica, which keeps what it is asked. */
function world(replica: Record<string, unknown> = {}, agreed = true) {
  const handlers = new Map<Method, Handler>();
  const proposed: { readonly data: Buffer; readonly waiter: ProposalWaiter }[] = [];
  const holds = (write: Buffer): boolean => !agreed && needsTime(write);
  const reads: ReadWaiter[] = [];
  const load = new CountedRequests();
  const fake = {
    damage: null,
    isLeader: true,
    leads: true,
    leaderNode: 'n1',
    staleness_ms: () => 0,
    machine: { clock_ms: 77, serves: () => true, lookup: () => ({ kind: 'missing' }) },
    propose: (data: Buffer, waiter: ProposalWaiter) => proposed.push({ data, waiter }),
    read: (waiter: ReadWaiter) => reads.push(waiter),
    ...replica,
  };
  new ForwardService({
    host: { get: (group: number) => (group === 1 ? fake : undefined) } as unknown as ReplicaHost,
    rpc: { handle: (method: Method, handler: Handler) => handlers.set(method, handler) } as unknown as Rpc,
    stampOf: () => ({ next: () => 123, holds }) as unknown as StampClock,
    load,
  });
  const ask = (method: Method, body: Buffer): Buffer[] => {
    const answers: Buffer[] = [];
    handlers.get(method)!('n2', body, (answer) => answers.push(Buffer.from(answer)));
    return answers;
  };
  return { ask, proposed, reads, counted: load.counted };
}

const NOT_SERVED = { kind: 'not_serving', slot: 5, state: 0, move: 0 };

const command = (): Buffer => encodeCommand(put('k', 'v') as never, 0);

describe('the other end of forwarding', () => {
  it('takes any bytes a peer sends without falling', () => {
    const { ask } = world();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (array) => {
        for (const body of [Buffer.from(array), Buffer.concat([Buffer.from([1, 0, 0, 0]), array])]) {
          ask(Method.Write, body);
          ask(Method.Get, body);
        }
      }),
      { seed: 6, numRuns: 500 },
    );
  });

  it('stamps a copy: the frame it came in is shared with others', () => {
    const { ask, proposed } = world();
    const body = encodeWriteRequest(1, 5, command());
    const before = Buffer.from(body);
    ask(Method.Write, body);
    expect(body.equals(before)).toBe(true);
    expect(decodeCommand(proposed[0]!.data)).toMatchObject({ stamp_ms: 123 });
  });

  it.each([
    ['not here', 2, {}, { kind: 'refused', reason: 'not_here', leader: null }],
    ['damaged', 1, { damage: 'checksum' }, { kind: 'refused', reason: 'not_here', leader: null }],
    ['no leader', 1, { isLeader: false, leaderNode: 'n3' }, { kind: 'refused', reason: 'not_leader', leader: 'n3' }],
  ])('refuses a write for a replica that is %s', (_, shard, replica, reply) => {
    const { ask, proposed } = world(replica);
    const [answer] = ask(Method.Write, encodeWriteRequest(shard, 5, command()));
    expect(decodeForwardReply(answer!)).toEqual(reply);
    expect(proposed).toEqual([]);
  });

  it('takes no write with a ttl while the members have not said what time it is: it would end early (F13)', () => {
    const { ask, proposed } = world({}, false);
    const brief = encodeCommand(put('k', 'v', { ttl_ms: 500 }) as never, 0);
    const [answer] = ask(Method.Write, encodeWriteRequest(1, 5, brief));
    expect(decodeForwardReply(answer!)).toEqual({ kind: 'refused', reason: 'clock_unsure', leader: null });
    ask(Method.Write, encodeWriteRequest(1, 5, command()));
    expect(proposed).toHaveLength(1);
  });

  it('tells a refusal, an unknown end and a result of the log apart', () => {
    const ends: [(waiter: ProposalWaiter) => void, object][] = [
      [(waiter) => waiter.refused('overloaded'), { kind: 'refused', reason: 'overloaded' }],
      [(waiter) => waiter.unknown(), { kind: 'unknown' }],
      [(waiter) => waiter.applied({ kind: 'missing' }, 1 as never), { kind: 'result', clock_ms: 77 }],
    ];
    for (const [end, reply] of ends) {
      const { ask, proposed } = world();
      const answers = ask(Method.Write, encodeWriteRequest(1, 5, command()));
      expect(answers).toEqual([]);
      end(proposed[0]!.waiter);
      expect(answers.map(decodeForwardReply)).toMatchObject([reply]);
    }
  });

  it('reads when the replica says it may, and a stale read only within its age', () => {
    const { ask, reads } = world();
    const get = { shard: 1, maxStaleness_ms: null, key: Buffer.from('k') };
    const answers = ask(Method.Get, encodeGetRequest(get));
    expect(answers).toEqual([]);
    reads[0]!.ready();
    const reply = decodeForwardReply(answers[0]!);
    expect(reply.kind === 'result' && decodeLookup(reply.body)).toEqual({ kind: 'missing' });
    const old = world({ isLeader: false, staleness_ms: () => 600 });
    const refused = old.ask(Method.Get, encodeGetRequest({ ...get, maxStaleness_ms: 500 }));
    expect(decodeForwardReply(refused[0]!)).toMatchObject({ kind: 'refused', reason: 'too_old' });
    expect(old.ask(Method.Get, encodeGetRequest({ ...get, maxStaleness_ms: 700 }))).toHaveLength(1);
    // A leader can always be asked: then a quorum has to confirm it.
    const leader = world({ staleness_ms: () => 600 });
    const answered = leader.ask(Method.Get, encodeGetRequest({ ...get, maxStaleness_ms: 500 }));
    expect([answered.length, leader.reads.length]).toEqual([0, 1]);
    leader.reads[0]!.ready();
    expect(decodeForwardReply(answered[0]!)).toMatchObject({ kind: 'result' });
  });

  it('counts what its replica carries out, by slot and key, and nothing that it refuses', () => {
    const slot = slotOfKey(Buffer.from('k'));
    const { ask, reads, counted } = world();
    ask(Method.Write, encodeWriteRequest(1, slot, command()));
    ask(Method.Get, encodeGetRequest({ shard: 1, maxStaleness_ms: null, key: Buffer.from('k') }));
    reads[0]!.ready();
    expect(counted).toEqual([`wrote ${slot} k`, `read ${slot} k`]);
    const elsewhere = world({ isLeader: false, staleness_ms: () => 600 });
    elsewhere.ask(Method.Write, encodeWriteRequest(1, slot, command()));
    elsewhere.ask(Method.Get, encodeGetRequest({ shard: 1, maxStaleness_ms: 500, key: Buffer.from('k') }));
    const none = { clock_ms: 77, serves: () => false, stateOf: () => 0, moveOf: () => 0, lookup: () => NOT_SERVED };
    const gone = world({ machine: none });
    gone.ask(Method.Write, encodeWriteRequest(1, slot, command()));
    gone.ask(Method.Get, encodeGetRequest({ shard: 1, maxStaleness_ms: 500, key: Buffer.from('k') }));
    expect([elsewhere.counted, gone.counted]).toEqual([[], []]);
  });
});
