/**
 * Which change of members is due by itself: pure. In this order: replicas leave nodes that are drained, groups get the
 * replicas that they lack, the controller its size, and replicas spread evenly over the nodes (also over those that have
 * just joined). One at a time: each costs a copy of a shard.
 */
import type { GroupId, NodeId } from '../raft/index.js';
import { bestNode, compareNodeIds, controllerSize, neighbours } from './placement.js';
import {
  CONTROLLER_GROUP,
  type GroupMembers,
  groupsOf,
  type NodeEntry,
  type ShardMap,
  shardName,
} from './shard-map.js';

export interface MemberWish {
  readonly group: GroupId;
  readonly add: readonly NodeId[];
  readonly remove: readonly NodeId[];
  /** Who goes has been down for too long. */
  readonly rebuild?: true;
  readonly cause: string;
}

export interface RepairView {
  readonly map: ShardMap;
  /** Groups whose members are being changed, or that are about to go. */
  readonly busy: ReadonlySet<GroupId>;
  readonly healthy: (node: NodeId) => boolean;
  /** They answer, and yet made no replica that works a while ago: nothing goes there by itself. Default: none is known. */
  readonly shunned?: ReadonlySet<NodeId>;
  /** No plan runs. */
  readonly calm: boolean;
}

export function nextMemberWish(view: RepairView): MemberWish | null {
  return drained(view) ?? lacking(view) ?? uneven(view);
}

/** Of how many shards each node should be the leader. */
export function firstsOf(map: ShardMap): Map<NodeId, number> {
  const firsts = new Map<NodeId, number>(map.nodes.map((node) => [node.id, 0]));
  for (const { members } of map.shards) {
    const first = members[0]?.node;
    if (first !== undefined) firsts.set(first, (firsts.get(first) ?? 0) + 1);
  }
  return firsts;
}

/** Another leader that makes leaderships more even; null: they are. Only where all is well. */
export function nextLeaderWish(view: RepairView): { readonly group: GroupId; readonly node: NodeId } | null {
  const { map, busy, calm } = view;
  if (!calm || busy.size > 0 || map.draining.length > 0 || !map.nodes.every((node) => view.healthy(node.id)))
    return null;
  const firsts = firstsOf(map);
  for (const shard of map.shards) {
    if (shard.pinned) continue;
    const leads = firsts.get(shard.members[0]!.node)!;
    const better = shard.members.find(({ node }) => firsts.get(node)! + 2 <= leads);
    if (better !== undefined) return { group: shard.id, node: better.node };
  }
  return null;
}

/** Drained nodes that nothing is left on. */
export const emptied = (map: ShardMap): readonly NodeId[] =>
  map.draining.filter((node) => !groupsOf(map).some(([, group]) => isOn(group, node)));

const isOn = ({ members, joining }: GroupMembers, node: NodeId): boolean =>
  [...members, ...joining].some((member) => member.node === node);

const isMember = ({ members }: GroupMembers, node: NodeId): boolean => members.some((member) => member.node === node);

/** Whether a group of these would have a leader. */
export const hasMajority = (nodes: readonly NodeId[], healthy: (node: NodeId) => boolean): boolean =>
  nodes.filter(healthy).length * 2 > nodes.length;

/** Where the members are. */
export const nodesOf = ({ members }: GroupMembers): readonly NodeId[] => members.map((member) => member.node);

/** How many members the group is to have, given the nodes that there are. */
const sizeOf = (group: GroupId, { replicas }: GroupMembers, nodes: number): number =>
  group === CONTROLLER_GROUP ? controllerSize(nodes) : Math.min(replicas, nodes);

const staying = ({ nodes, draining }: ShardMap): readonly NodeEntry[] =>
  nodes.filter((node) => !draining.includes(node.id));

/** Replicas by node, of shards; the controller's are small, and count for nothing where shards are placed. */
function loadOf(map: ShardMap): Map<NodeId, number> {
  const load = new Map<NodeId, number>(map.nodes.map((node) => [node.id, 0]));
  for (const [group, { members, joining }] of groupsOf(map)) {
    if (group === CONTROLLER_GROUP) continue;
    for (const { node } of [...members, ...joining]) load.set(node, (load.get(node) ?? 0) + 1);
  }
  return load;
}

/** Where a further replica of the group should go, as if `without` had none; null: nowhere now. */
export function placeFor(view: RepairView, group: GroupMembers, without: NodeId | null): NodeId | null {
  const { map, healthy, shunned } = view;
  const stay = map.nodes.filter((node) => node.id !== without && isOn(group, node.id));
  const able = staying(map).filter((node) => healthy(node.id) && !isOn(group, node.id));
  const welcome = able.filter((node) => !group.avoids.includes(node.id));
  // A node that is to be emptied does not wait for ever because of one that is only avoided.
  const places = welcome.length === 0 && without !== null ? able : welcome;
  const promising = places.filter((node) => shunned?.has(node.id) !== true);
  return bestNode(promising, stay, loadOf(map))?.id ?? null;
}

function drained(view: RepairView): MemberWish | null {
  const { map, busy, healthy } = view;
  for (const node of map.draining) {
    for (const [group, members] of groupsOf(map)) {
      // Without a majority nothing can be changed; others need not wait for it.
      if (busy.has(group) || !isMember(members, node) || !hasMajority(nodesOf(members), healthy)) continue;
      const cause = `${node} is drained`;
      const rest = nodesOf(members).filter((other) => other !== node);
      if (rest.length >= sizeOf(group, members, staying(map).length)) {
        if (!hasMajority(rest, healthy)) continue;
        return { group, add: [], remove: [node], cause };
      }
      const to = placeFor(view, members, node);
      if (to !== null) return { group, add: [to], remove: [node], cause };
    }
  }
  return null;
}

function lacking(view: RepairView): MemberWish | null {
  const { map, busy, healthy } = view;
  for (const [group, members] of groupsOf(map)) {
    if (busy.has(group) || !hasMajority(nodesOf(members), healthy)) continue;
    const able = staying(map).filter((node) => isOn(members, node.id) || !members.avoids.includes(node.id));
    const size = sizeOf(group, members, able.length);
    if (members.members.length < size) {
      const to = placeFor(view, members, null);
      if (to !== null)
        return {
          group,
          add: [to],
          remove: [],
          cause: `${to} gives it replica ${members.members.length + 1} of ${size}`,
        };
    }
    // Five members of the controller are for five nodes.
    if (group === CONTROLLER_GROUP && members.members.length > size) {
      const leaves = nodesOf(members).find((node) => !healthy(node)) ?? nodesOf(members).at(-1)!;
      const rest = nodesOf(members).filter((node) => node !== leaves);
      if (hasMajority(rest, healthy)) return { group, add: [], remove: [leaves], cause: `${size} members are enough` };
    }
  }
  return null;
}

/** Only while all is well: it can wait, and what is away may come back with its replicas. */
function uneven(view: RepairView): MemberWish | null {
  const { map, busy, healthy, calm } = view;
  if (!calm || busy.size > 0 || map.draining.length > 0 || !map.nodes.every((node) => healthy(node.id))) return null;
  const load = loadOf(map);
  const by = (a: NodeEntry, b: NodeEntry): number => load.get(a.id)! - load.get(b.id)! || compareNodeIds(a.id, b.id);
  const nodes = [...map.nodes].sort(by);
  for (const to of nodes) {
    if (view.shunned?.has(to.id) === true) continue;
    for (const from of [...nodes].reverse()) {
      if (load.get(from.id)! - load.get(to.id)! < 2) break;
      const shard = map.shards.find(
        (entry) =>
          isMember(entry, from.id) &&
          !isOn(entry, to.id) &&
          !entry.avoids.includes(to.id) &&
          fits(map, entry, from, to),
      );
      if (shard === undefined) continue;
      return { group: shard.id, add: [to.id], remove: [from.id], cause: `${to.id} has fewer replicas than ${from.id}` };
    }
  }
  return null;
}

/** The replicas of the shard stand no closer together afterwards. */
function fits(map: ShardMap, group: GroupMembers, from: NodeEntry, to: NodeEntry): boolean {
  const others = map.nodes.filter((node) => node.id !== from.id && isMember(group, node.id));
  const [hostBefore, zoneBefore] = neighbours(from, others);
  const [hostAfter, zoneAfter] = neighbours(to, others);
  return hostAfter < hostBefore || (hostAfter === hostBefore && zoneAfter <= zoneBefore);
}

/** Why a node cannot be drained, in words for whoever asked; null: it can. */
export function drainProblem(map: ShardMap, node: NodeId): string | null {
  const left = staying(map).filter((entry) => entry.id !== node).length;
  const crowded = map.shards.filter((shard) => isOn(shard, node) && shard.members.length > left);
  if (crowded.length === 0) return null;
  const names = crowded.map((shard) => shardName(shard.id)).join(', ');
  const most = Math.max(...crowded.map((shard) => shard.members.length));
  const lack = most - left;
  return `${names} ${crowded.length === 1 ? 'has' : 'have'} ${most} replicas, and only ${left} ${left === 1 ? 'node' : 'nodes'} would be left: add ${lack} more ${lack === 1 ? 'node' : 'nodes'} first, or take a replica off each`;
}
