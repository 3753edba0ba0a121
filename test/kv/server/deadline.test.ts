/** One deadline for all steps of a request about members. */
import { describe, expect, it } from 'vitest';
import type { ControllerAnswer, ControllerCaller, MembersAnswer } from '../../../src/kv/server/controller-caller.js';
import { Deadline } from '../../../src/kv/server/deadline.js';
import type { HelloService } from '../../../src/kv/server/hello.js';
import { MapKeeper } from '../../../src/kv/server/map-keeper.js';
import { MembersAdmin, type MembersAdminOptions } from '../../../src/kv/server/members-admin.js';
import { index, term } from '../../../src/raft/index.js';
import { type Membership, SETTINGS_DEFAULT, ShardUnavailable, type StepAnswer } from '../../../src/shardctrl/index.js';
import { mapOf } from '../../shardctrl/map-of.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';
import { errorOf } from './sim-cluster.js';

/** Each call takes as long as `takes_ms` says, in turn; one that is not given so long is not answered. */
function world(takes_ms: readonly number[]) {
  const scheduler = new SimScheduler();
  const clock = new SimClock(scheduler);
  const times = [...takes_ms];
  const asked: string[] = [];
  const map = mapOf(['n1', 'n2', 'n3', 'n4'], [['n1', 'n2', 'n3']]);
  const after = <T>(what: string, timeout_ms: number, value: T): Promise<T | null> => {
    asked.push(`${what} ${timeout_ms}`);
    const time_ms = times.shift() ?? 0;
    return new Promise((resolve) =>
      clock.after(Math.min(time_ms, timeout_ms), () => resolve(time_ms > timeout_ms ? null : value)),
    );
  };
  const voters = ['n1', 'n2', 'n3'].map((node, i) => ({ node, id: i + 1 }));
  const membership: Membership = {
    conf: { voters, outgoing: [], learners: [], learnersNext: [], autoLeave: false },
    confIndex: index(1),
    settled: true,
    leader: 1,
    term: term(1),
  };
  const orUnavailable = async <T>(answer: Promise<T | null>): Promise<T> => {
    const value = await answer;
    if (value === null) throw new ShardUnavailable('no answer');
    return value;
  };
  const members: MembersAnswer = { map, changes: [], settings: SETTINGS_DEFAULT };
  const begun: ControllerAnswer = {
    kind: 'result',
    result: { kind: 'change_started', change: 7, epoch: 2 },
    report: null,
  };
  const maps = new MapKeeper();
  maps.offer(map, []);
  const admin = new MembersAdmin({
    self: 'n1',
    clock,
    maps,
    shards: {
      membership: (_group, timeout_ms) => orUnavailable(after('membership', timeout_ms, membership)),
      memberStep: (_group, _seenAt, _step, timeout_ms) =>
        orUnavailable(after<StepAnswer>('step', timeout_ms, { kind: 'begun' })),
    },
    controller: {
      members: (timeout_ms: number) => after('members', timeout_ms, members),
      propose: async (_command: unknown, timeout_ms: number) =>
        (await after<ControllerAnswer>('propose', timeout_ms, begun)) ?? { kind: 'unknown' },
    } as unknown as ControllerCaller,
    hello: { state: () => 'healthy', away: () => '' } as unknown as HelloService,
  } as Partial<MembersAdminOptions> as MembersAdminOptions);
  /** What it came to, and when. */
  const run = async <T>(answer: Promise<T>): Promise<{ readonly value: T; readonly at_ms: number }> => {
    let done: { readonly value: T; readonly at_ms: number } | null = null;
    void answer.then((value) => {
      done = { value, at_ms: scheduler.now_ms };
    });
    await scheduler.runWhile(() => done === null, 60_000);
    return done!;
  };
  return { admin, asked, run };
}

const CHANGE = { add: ['n4'], remove: ['n3'] };

describe('a request of several steps', () => {
  it('gives each what those before it have left', async () => {
    const { admin, asked, run } = world([300, 200, 250, 10]);
    const { value, at_ms } = await run(admin.changeMembers('s1', CHANGE, 1_000));
    expect(value.ok).toBe(true);
    expect(asked).toEqual(['members 1000', 'membership 700', 'propose 500', 'members 250']);
    expect(at_ms).toBe(760);
  });

  it('has begun, even if there is no time left to look', async () => {
    const { admin, run } = world([300, 300, 300, 5_000]);
    const { value, at_ms } = await run(admin.changeMembers('s1', CHANGE, 1_000));
    expect(value).toMatchObject({ ok: true, value: { joining: ['n4'], leaving: ['n3'] } });
    expect(at_ms).toBe(1_000);
  });

  it('changes nothing where time is over before it could begin', async () => {
    const { admin, asked, run } = world([600, 400]);
    const { value, at_ms } = await run(admin.changeMembers('s1', CHANGE, 1_000));
    expect(errorOf(value)).toMatchObject({ code: 'unavailable', detail: expect.stringContaining('nothing has begun') });
    expect(asked).toEqual(['members 1000', 'membership 400']);
    expect(at_ms).toBe(1_000);
  });

  it('is in doubt only where it was sent', async () => {
    const { admin, run } = world([100, 100, 5_000]);
    const { value, at_ms } = await run(admin.changeMembers('s1', CHANGE, 1_000));
    expect(errorOf(value).code).toBe('outcome_unknown');
    expect(at_ms).toBe(1_000);
  });

  it('ends in time also where a leadership does not come about', async () => {
    const { admin, run } = world([100, 100]);
    const { value, at_ms } = await run(admin.transferLeader('s1', 'n2', 1_500));
    expect(errorOf(value)).toMatchObject({ code: 'unavailable', detail: expect.stringContaining('n2') });
    expect(at_ms).toBeLessThanOrEqual(1_500);
  });
});

it('a deadline is over when nothing that is needed fits in any more', async () => {
  const scheduler = new SimScheduler();
  const deadline = new Deadline(new SimClock(scheduler), 100);
  expect([deadline.left_ms, deadline.isOver(), deadline.isOver(100)]).toEqual([100, false, true]);
  await scheduler.runFor(60);
  expect([deadline.left_ms, deadline.isOver(39), deadline.isOver(40)]).toEqual([40, false, true]);
  await scheduler.runFor(60);
  expect([deadline.left_ms, deadline.isOver()]).toEqual([0, true]);
});
