/** Replicas that join a group that is at work: blank, as learners, filled by a snapshot. */
import { describe, expect, it } from 'vitest';
import type { ConfChangeStep } from '../../../src/raft/index.js';
import { chainOf } from './chain-machine.js';
import { GROUP, World, type WorldNode } from './world.js';

const NEWCOMER = 40;
const WRITES = Array.from({ length: 20 }, (_, i) => `k${i}=${i}`);

/** Three at work, n4 up without a replica. */
async function withFourth(
  seed: string,
): Promise<{ world: World; n4: WorldNode; change: (...steps: ConfChangeStep[]) => void }> {
  const world = new World(seed, {}, 4);
  for (const node of world.nodes) await world.run(node.start());
  const members = world.nodes.slice(0, 3).map((node, i) => ({ id: i + 1, node: node.id }));
  await world.run(
    Promise.all(world.nodes.slice(0, 3).map((node, i) => node.host.create(GROUP, i + 1, members, i === 0))),
  );
  await world.until(() => world.nodes[0]!.replica.leads);
  await world.put(WRITES);
  const change = (...steps: ConfChangeStep[]): void => {
    const { replica } = world.nodes[0]!;
    expect(replica.proposeConfChange({ steps, transition: 'auto' }, replica.confIndex)).toMatchObject({ ok: true });
  };
  return { world, n4: world.nodes[3]!, change };
}

const asLearner: ConfChangeStep = { op: 'add_learner', member: { id: NEWCOMER, node: 'n4' } };
const asVoter: ConfChangeStep = { op: 'add_voter', member: { id: NEWCOMER, node: 'n4' } };

describe('a replica that joins', () => {
  it('knows nothing, and asks nobody for a vote, until its leader sends it the state', async () => {
    const { world, n4, change } = await withFourth('joins');
    await world.run(n4.host.join(GROUP, NEWCOMER));
    await world.scheduler.runFor(5_000);
    expect(n4.replica.status()).toMatchObject({ role: 'learner', term: 0, applied: 0 });
    expect(n4.replica.staleness_ms()).toBe(Number.POSITIVE_INFINITY);
    change(asLearner);
    await world.until(
      () => n4.replica.conf.voters.length === 3 && n4.replica.applied === world.leader!.replica.applied,
    );
    expect(n4.chain.chain).toBe(chainOf(WRITES));
    // As soon as it has what was committed some heartbeats ago (F22).
    await world.scheduler.runFor(500);
    change(asVoter);
    await world.until(() => n4.replica.status().role === 'follower');
    await world.put(['after=1']);
    await world.until(() => n4.chain.register('after') === '1');
    await world.end();
  });

  it('is the same one after a power cut, before and after it was filled', async () => {
    const { world, n4, change } = await withFourth('joins and falls');
    await world.run(n4.host.join(GROUP, NEWCOMER));
    n4.crash();
    await world.run(n4.start());
    expect(n4.replica.id).toBe(NEWCOMER);
    change(asLearner);
    await world.until(() => n4.replica.conf.voters.length === 3);
    n4.crash();
    await world.run(n4.start());
    expect([n4.replica.id, n4.replica.status().role]).toEqual([NEWCOMER, 'learner']);
    await world.put(['after=1']);
    await world.until(() => n4.chain.register('after') === '1');
    await world.end();
  });

  it('may come before its engine was ever written, and be filled into another one', async () => {
    const { world, n4, change } = await withFourth('joins without an engine');
    const { log } = n4.life!;
    const append = log.append.bind(log);
    log.append = (write) =>
      append(write).then(() => {
        n4.crash('kill');
        return new Promise(() => {});
      });
    void n4.host.join(GROUP, NEWCOMER);
    await world.until(() => n4.life === null);
    expect(await n4.engines.list()).toEqual([]);
    await world.run(n4.start());
    change(asLearner);
    await world.until(() => n4.chain.chain === chainOf(WRITES));
    await world.end();
  });

  it('is not sent a state that does not know it yet', async () => {
    const { world, n4, change } = await withFourth('joins a slow engine');
    const [n1] = world.nodes as [WorldNode];
    await world.run(n4.host.join(GROUP, NEWCOMER));
    await world.scheduler.runFor(1_000);
    n1.engineDelay_ms = (operation) => (operation === 'write' ? 400 : 0.2);
    change(asLearner);
    await world.until(() => n4.replica.conf.voters.length === 3);
    expect(n1.events.some((event) => event.includes('it is of before that replica joined'))).toBe(true);
    expect(n4.replica.conf.learners).toEqual([{ id: NEWCOMER, node: 'n4' }]);
    await world.end();
  });
});

describe('a change of members', () => {
  it('has settled when a majority holds an entry that came after the news of it, and not before (F18)', async () => {
    const { world, change } = await withFourth('settles');
    const [n1, n2, n3] = world.nodes as [WorldNode, WorldNode, WorldNode, WorldNode];
    const { replica } = n1;
    expect([replica.confSettled, n2.replica.confSettled]).toEqual([true, false]);
    change({ op: 'remove', id: 3 });
    await world.until(() => replica.conf.voters.length === 2);
    expect(replica.confSettled).toBe(false);
    await world.until(() => replica.confSettled);
    expect(replica.commit).toBeGreaterThan(replica.confIndex);
    // Whatever becomes of the leader, and of what n2 had not synced.
    n2.crash();
    n1.crash();
    n3.crash();
    await world.run(n2.start());
    await world.until(() => n2.replica.conf.voters.length === 2);
    await world.end();
  });
});

describe('an order to change the members', () => {
  it('has no effect once the members have changed since it was found due', async () => {
    const { world, change } = await withFourth('late orders');
    const { replica } = world.nodes[0]!;
    const seenAt = replica.confIndex;
    change(asLearner);
    await world.until(() => replica.conf.learners.length === 1);
    change({ op: 'remove', id: NEWCOMER });
    await world.until(() => replica.conf.learners.length === 0);
    const late = replica.proposeConfChange({ steps: [asLearner], transition: 'auto' }, seenAt);
    expect(late).toMatchObject({ ok: false, reason: 'outdated' });
    await world.end();
  });
});
