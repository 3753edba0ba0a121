/** Commands on the members of groups: late ones, repeated ones, and those that nobody allows any more. */
import { describe, expect, it } from 'vitest';
import { MemoryController, nodeOf } from './memory-controller.js';

const MINUTE_MS = 60_000;

describe('a change of members that a driver has found due', () => {
  const four = async (): Promise<MemoryController> => {
    const controller = await MemoryController.cluster(3, 1);
    controller.apply({ kind: 'register_node', node: nodeOf('n4') });
    return controller;
  };
  const wish = { kind: 'change_members', group: 1, add: ['n4'], remove: ['n3'], cause: 'n3 is down' } as const;

  it('begins only among the members that it was found due for, whatever their order', async () => {
    const controller = await four();
    for (const seen of [[1, 2], [1, 2, 3, 4], [1, 2, 9], []]) {
      expect(controller.apply({ ...wish, seen })).toMatchObject({ kind: 'nothing' });
    }
    expect(controller.machine.changes()).toEqual([]);
    const begun = controller.apply({ ...wish, seen: [3, 1, 2] });
    expect(begun).toMatchObject({ kind: 'change_started' });
    // It comes again: at once, when all is over, and when the same nodes are members again under other ids.
    expect(controller.apply({ ...wish, seen: [1, 2, 3] })).toMatchObject({ kind: 'change_conflict' });
    controller.apply({ kind: 'members_changed', change: (begun as { change: number }).change });
    expect(controller.apply({ ...wish, seen: [1, 2, 3] })).toMatchObject({ kind: 'nothing' });
    const back = controller.apply({ ...wish, add: ['n3'], remove: ['n4'] }) as { change: number };
    controller.apply({ kind: 'members_changed', change: back.change });
    expect(controller.map.shards[0]!.members.map(({ node }) => node).sort()).toEqual(['n1', 'n2', 'n3']);
    expect(controller.apply({ ...wish, seen: [1, 2, 3] })).toMatchObject({ kind: 'nothing' });
    expect(controller.machine.changes()).toEqual([]);
  });

  it('rebuilds only while that is allowed; what has begun goes on', async () => {
    const controller = await four();
    expect(controller.apply({ ...wish, rebuild: true })).toMatchObject({ kind: 'nothing' });
    controller.apply({ kind: 'change_settings', rebuildAfter_ms: MINUTE_MS });
    expect(controller.apply({ ...wish, rebuild: true })).toMatchObject({ kind: 'change_started' });
    controller.apply({ kind: 'change_settings', rebuildAfter_ms: null });
    expect(controller.machine.changes()).toMatchObject([{ group: 1, rebuild: true, givenUp: null }]);
    expect((await controller.reopened()).machine.changes()).toEqual(controller.machine.changes());
  });

  it('is what it was before there were rebuilds, in its row too, where it is none', async () => {
    const controller = await four();
    controller.apply(wish);
    expect(controller.machine.changes()[0]).not.toHaveProperty('rebuild');
  });

  it('counts as done where the group had taken it before it was given up', async () => {
    const controller = await four();
    const before = controller.map.shards[0]!.members;
    for (const taken of [false, true]) {
      const { change } = controller.apply(wish) as { change: number };
      const [begun] = controller.machine.changes();
      controller.apply({ kind: 'give_up_members', change, reason: 'n4 was away' });
      controller.apply({ kind: 'give_up_members', change, reason: 'n4 was away, again' });
      expect(controller.machine.changes()).toMatchObject([
        { target: before, abandoned: begun!.target, givenUp: 'n4 was away' },
      ]);
      controller.apply({ kind: 'members_changed', change, taken });
      expect(controller.map.shards[0]!.members).toEqual(taken ? begun!.target : before);
      expect(controller.map.shards[0]!.joining).toEqual([]);
    }
  });
});

describe('who is to lead', () => {
  it('is not changed by a driver where an operator has said it meanwhile', async () => {
    const controller = await MemoryController.cluster(3, 1);
    const first = (): string => controller.map.shards[0]!.members[0]!.node;
    controller.apply({ kind: 'prefer_leader', group: 1, node: 'n2', pinned: false });
    controller.apply({ kind: 'prefer_leader', group: 1, node: 'n3', pinned: true });
    expect(controller.apply({ kind: 'prefer_leader', group: 1, node: 'n1', pinned: false })).toMatchObject({
      kind: 'nothing',
    });
    expect(first()).toBe('n3');
    controller.apply({ kind: 'prefer_leader', group: 1, node: 'n2', pinned: true });
    expect(first()).toBe('n2');
  });
});
