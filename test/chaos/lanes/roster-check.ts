/** Whether the groups have the members that they should have, when nothing is under way any more. Pure. */
import type { ClusterView } from '../../../src/kv/client/index.js';
import { controllerSize } from '../../../src/shardctrl/index.js';
import { votersOf } from './roster.js';

export interface Expected {
  /** As many every shard should have. */
  readonly replicas: number;
  /** Left for good. */
  readonly gone: ReadonlySet<string>;
  /** Lost, and not replaced. */
  readonly spent: ReadonlySet<string>;
}

export interface RosterFlaws {
  /** A node that has left is a member of something: that must never be. */
  readonly ghosts: readonly string[];
  /** What should have been repaired. */
  readonly lacks: readonly string[];
  /** What cannot be repaired before a lost node is replaced. */
  readonly excused: readonly string[];
}

export const flawsOf = (view: ClusterView, expected: Expected): RosterFlaws => {
  const found = [controllerFlaws(view, expected), ...view.shards.map((shard) => shardFlaws(shard, view, expected))];
  return {
    ghosts: found.flatMap(({ ghosts }) => ghosts),
    lacks: found.flatMap(({ lacks }) => lacks),
    excused: found.flatMap(({ excused }) => excused),
  };
};

function shardFlaws(shard: ClusterView['shards'][number], view: ClusterView, expected: Expected): RosterFlaws {
  const { id, members } = shard;
  const nodes = members.map(({ node }) => node);
  const voters = votersOf(shard);
  const idle = members.filter(({ node, state }) => !voters.includes(node) || state !== 'ok');
  const wanted = Math.min(expected.replicas, view.nodes.length);
  return {
    ...flawsOfGroup(id, nodes, expected),
    lacks: [
      ...strangersIn(id, nodes, view, expected),
      ...(nodes.length < wanted ? [`${id} has ${nodes.length} members of ${wanted}`] : []),
      ...idle
        .filter(({ node }) => !expected.spent.has(node))
        .map(({ node, role, state }) => `${node} does not take part in ${id} (${role}, ${state})`),
    ],
  };
}

function controllerFlaws(view: ClusterView, expected: Expected): RosterFlaws {
  const { members } = view.controller;
  const wanted = controllerSize(view.nodes.length);
  return {
    ...flawsOfGroup('the controller', members, expected),
    lacks: [
      ...strangersIn('the controller', members, view, expected),
      ...(members.length === wanted ? [] : [`the controller has ${members.length} members instead of ${wanted}`]),
    ],
  };
}

const flawsOfGroup = (
  group: string,
  nodes: readonly string[],
  { gone, spent }: Expected,
): Omit<RosterFlaws, 'lacks'> => ({
  ghosts: nodes.filter((node) => gone.has(node)).map((node) => `${node} has left, and is a member of ${group}`),
  excused: nodes.filter((node) => spent.has(node)).map((node) => `${group} has a member on ${node}, which is lost`),
});

const strangersIn = (group: string, nodes: readonly string[], view: ClusterView, { gone }: Expected): string[] =>
  nodes
    .filter((node) => !gone.has(node) && !view.nodes.some(({ id }) => id === node))
    .map((node) => `${node} is a member of ${group}, and no node of the cluster`);

/** What several nodes say, each flaw once, with those that say it. */
export function summed(all: readonly (RosterFlaws & { readonly by: string })[]): RosterFlaws {
  const once = (flaws: (each: RosterFlaws) => readonly string[]): string[] => {
    const by = new Map<string, string[]>();
    for (const each of all) for (const flaw of flaws(each)) by.set(flaw, [...(by.get(flaw) ?? []), each.by]);
    return [...by].map(([flaw, nodes]) => `${flaw} (by ${nodes.join(', ')})`);
  };
  return {
    ghosts: once(({ ghosts }) => ghosts),
    lacks: once(({ lacks }) => lacks),
    excused: once(({ excused }) => excused),
  };
}
