/** Commands on the members of groups and on nodes that leave. One change a group at a time. */
import type { GroupId, NodeId, ReplicaId } from '../raft/index.js';
import type { CommandOf, ControllerResult } from './commands.js';
import type { ControllerState } from './controller-state.js';
import { drainProblem, firstsOf } from './member-repair.js';
import { REPLICAS_MAX, REPLICAS_MIN } from './placement.js';
import {
  CONTROLLER_GROUP,
  type GroupMembers,
  groupOf,
  groupsOf,
  type ShardMap,
  type ShardMember,
  shardName,
} from './shard-map.js';

const NOTHING: ControllerResult = { kind: 'nothing', detail: 'that change of members is over' };
const OUTDATED: ControllerResult = { kind: 'nothing', detail: 'the members have changed since that was found due' };
const PINNED: ControllerResult = { kind: 'nothing', detail: 'an operator has said who should lead' };
const NOT_ALLOWED: ControllerResult = { kind: 'nothing', detail: 'replicas may not be rebuilt elsewhere' };

const nameOf = (group: GroupId): string => (group === CONTROLLER_GROUP ? 'the controller' : shardName(group));

/**
 * Replica ids come from the entry's index: they only grow, so none is ever used twice in a group (F24). The first members
 * of a group have the numbers from one on, which no entry's index times sixteen is.
 */
const REPLICAS_PER_ENTRY = 16;

export function applyChangeMembers(
  state: ControllerState,
  command: CommandOf<'change_members'>,
  index: number,
  stamp_ms: number,
): ControllerResult {
  const map = state.map;
  if (map === null) return { kind: 'not_initialised' };
  const { group, add, remove, cause } = command;
  const now = groupOf(map, group);
  if (now === undefined) return { kind: 'unknown_group', group };
  // What a driver wanted that has ended since may have been done by its successor, or be wanted no more.
  if (command.seen !== null && !isMadeOf(now, command.seen)) return OUTDATED;
  if (command.rebuild && state.settings.rebuildAfter_ms === null) return NOT_ALLOWED;
  const running = state.changes.get(group);
  if (running !== undefined) {
    return {
      kind: 'change_conflict',
      detail: `the members of ${nameOf(group)} are being changed already: ${running.cause}`,
    };
  }
  const missing = whatIsWrong(map, group, now, add, remove);
  if (missing !== null) return { kind: 'plan_impossible', missing };
  const joining = add.map((node, i): ShardMember => ({ node, replica: index * REPLICAS_PER_ENTRY + i + 1 }));
  const stay = now.members.filter((member) => !remove.includes(member.node));
  const target = withLeastLeadingFirst(map, stay[0] === now.members[0], [...stay, ...joining]);
  const epoch = joining.length === 0 ? map.epoch : state.changeMap({ kind: 'joining', group, joining });
  const replicas = command.replicas ?? now.replicas;
  state.putChange({
    id: index,
    group,
    target,
    before: now.members,
    replicas,
    ...(command.rebuild ? { rebuild: true as const } : {}),
    cause,
    started_ms: stamp_ms,
    givenUp: null,
  });
  return { kind: 'change_started', change: index, epoch };
}

const isMadeOf = ({ members }: GroupMembers, replicas: readonly ReplicaId[]): boolean =>
  members.length === replicas.length && members.every(({ replica }) => replicas.includes(replica));

/** Where the one that should lead goes, another one should who is to lead less than the others. */
function withLeastLeadingFirst(map: ShardMap, firstStays: boolean, members: readonly ShardMember[]): ShardMember[] {
  if (firstStays) return [...members];
  const firsts = firstsOf(map);
  const least = [...members].sort((a, b) => (firsts.get(a.node) ?? 0) - (firsts.get(b.node) ?? 0))[0]!;
  return [least, ...members.filter((member) => member !== least)];
}

/** In words for whoever asked; null: it can be done. */
function whatIsWrong(
  map: ShardMap,
  group: GroupId,
  { members }: GroupMembers,
  add: readonly NodeId[],
  remove: readonly NodeId[],
): string | null {
  const known = (node: NodeId): boolean => map.nodes.some((entry) => entry.id === node);
  const isMember = (node: NodeId): boolean => members.some((member) => member.node === node);
  for (const node of add) {
    if (!known(node)) return `there is no node ${node} in the cluster: let it join first`;
    if (isMember(node)) return `${node} is a member of ${nameOf(group)} already`;
    if (map.draining.includes(node)) return `${node} is being drained and takes no replicas`;
  }
  for (const node of remove) if (!isMember(node)) return `${node} is not a member of ${nameOf(group)}`;
  const twice = [...add, ...remove].find((node, i, all) => all.indexOf(node) !== i);
  if (twice !== undefined) return `${twice} is named twice`;
  const size = members.length + add.length - remove.length;
  if (size > REPLICAS_MAX) return `${size} replicas are more than the ${REPLICAS_MAX} that are supported`;
  const least = group === CONTROLLER_GROUP ? 1 : REPLICAS_MIN;
  if (size < least) return `${nameOf(group)} would be left with ${size} of at least ${least} replicas`;
  return null;
}

/** Whoever leads it now: the driver asks for the transfer. No new epoch where nothing changes. */
export function applyPreferLeader(state: ControllerState, command: CommandOf<'prefer_leader'>): ControllerResult {
  const { group, node, pinned } = command;
  const now = state.map === null ? undefined : groupOf(state.map, group);
  if (now === undefined) return { kind: 'unknown_group', group };
  const { members } = now;
  if (!members.some((member) => member.node === node)) {
    return { kind: 'plan_impossible', missing: `${node} is not a member of ${nameOf(group)}` };
  }
  if (now.pinned && !pinned) return PINNED;
  if (members[0]?.node !== node || now.pinned !== pinned) state.changeMap({ kind: 'first', group, node, pinned });
  return { kind: 'ok' };
}

/** The group's configuration is the target by now. */
export function applyMembersChanged(state: ControllerState, command: CommandOf<'members_changed'>): ControllerResult {
  const change = changeOf(state, command.change);
  if (change === null) return NOTHING;
  state.dropChange(change.group);
  const now = groupOf(state.map!, change.group);
  if (now === undefined) return NOTHING;
  const { group, replicas } = change;
  const target = change.givenUp === null ? change.target : command.taken ? change.abandoned : undefined;
  if (target !== undefined) {
    // Who should lead may have been said meanwhile.
    const first = target.filter((member) => member.replica === now.members[0]?.replica);
    state.changeMap({
      kind: 'members',
      group,
      members: [...first, ...target.filter((member) => !first.includes(member))],
    });
    if (replicas !== now.replicas) state.changeMap({ kind: 'replicas', group, replicas });
  } else if (now.joining.length > 0) state.changeMap({ kind: 'joining', group, joining: [] });
  return { kind: 'ok' };
}

/** What it was to bring about is given up: the group goes back to its members of before. */
export function applyGiveUpMembers(state: ControllerState, command: CommandOf<'give_up_members'>): ControllerResult {
  const change = changeOf(state, command.change);
  if (change === null) return NOTHING;
  if (change.givenUp !== null) return { kind: 'ok' };
  state.putChange({ ...change, target: change.before, givenUp: command.reason, abandoned: change.target });
  return { kind: 'ok' };
}

function changeOf(state: ControllerState, id: number) {
  for (const change of state.changes.values()) if (change.id === id) return change;
  return null;
}

/** Nothing more is placed on the node; the driver moves its replicas off. */
export function applyDrainNode(state: ControllerState, command: CommandOf<'drain_node'>): ControllerResult {
  const map = state.map;
  if (map === null) return { kind: 'not_initialised' };
  const { node } = command;
  if (map.gone.includes(node) || map.draining.includes(node)) return { kind: 'ok' };
  if (!map.nodes.some((entry) => entry.id === node)) return { kind: 'unknown_node', node };
  const missing = drainProblem(map, node);
  if (missing !== null) return { kind: 'plan_impossible', missing };
  state.changeMap({ kind: 'draining', node });
  return { kind: 'ok' };
}

/** The last step of draining: only of a node that hosts nothing and is to host nothing. */
export function applyRemoveNode(state: ControllerState, command: CommandOf<'remove_node'>): ControllerResult {
  const map = state.map;
  if (map === null) return { kind: 'not_initialised' };
  const { node } = command;
  if (!map.draining.includes(node)) return { kind: 'nothing', detail: `${node} is not being drained` };
  const host = groupsOf(map).find(([, { members, joining }]) =>
    [...members, ...joining].some((at) => at.node === node),
  );
  if (host !== undefined) return { kind: 'nothing', detail: `${node} still has a replica of ${nameOf(host[0])}` };
  for (const change of state.changes.values()) {
    if (change.before.some((at) => at.node === node)) return { kind: 'nothing', detail: `${node} may be needed again` };
  }
  state.changeMap({ kind: 'gone', node });
  return { kind: 'ok' };
}
