/** Commands on the cluster itself: its making, who its nodes are, and what is set for all of it. */
import type { CommandOf, ControllerResult } from './commands.js';
import type { ControllerState } from './controller-state.js';
import { compareNodeIds, controllerMembers, placeShards } from './placement.js';
import { SHARDS_MAX } from './plan-draft.js';
import { WEIGHT_DEFAULT } from './reshard-wish.js';
import type { GroupMembers, NodeEntry, ShardMap } from './shard-map.js';
import { SLOT_COUNT, type SlotRanges } from './slot-ranges.js';

/** The first entry: cluster id, the first nodes with their incarnations, shards that own all slots evenly. Epoch 1. */
export function applyInit(state: ControllerState, command: CommandOf<'init'>, stamp_ms: number): ControllerResult {
  if (state.map !== null) return { kind: 'already_initialised', clusterId: state.map.clusterId };
  const { clusterId, nodes, shards, replicas } = command;
  const twins = twinOf(nodes);
  if (twins !== null) return { kind: 'refused', reason: twins };
  if (shards < 1 || shards > SHARDS_MAX) {
    return { kind: 'plan_impossible', missing: `a cluster has 1 to ${SHARDS_MAX} shards, asked for ${shards}` };
  }
  const ids = Array.from({ length: shards }, (_, i) => i + 1);
  const placed = placeShards({ nodes, existing: [], newShards: ids, replicas });
  if (!placed.ok) return { kind: 'plan_impossible', missing: placed.missing };
  const slots = evenSlots(ids);
  const map: ShardMap = {
    clusterId,
    epoch: 1,
    shards: placed.shards.map(({ id, members, replicas: wished }) => ({
      id,
      slots: slots.get(id)!,
      members,
      joining: [],
      replicas: wished ?? members.length,
      asFounded: true,
      pinned: false,
      avoids: [],
      weight: WEIGHT_DEFAULT,
    })),
    nodes: [...nodes].sort((a, b) => compareNodeIds(a.id, b.id)),
    controller: controllerOf(nodes),
    draining: [],
    gone: [],
  };
  state.initialise(map, stamp_ms);
  return { kind: 'initialised', epoch: 1 };
}

function twinOf(nodes: readonly NodeEntry[]): string | null {
  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[i]!;
    const earlier = nodes.slice(0, i);
    if (earlier.some((other) => other.id === node.id)) return `two nodes are called ${node.id}`;
    const twin = earlier.find((other) => other.incarnation === node.incarnation);
    if (twin !== undefined) return `${twin.id} and ${node.id} show the same incarnation: one is a copy of the other`;
  }
  return null;
}

function controllerOf(nodes: readonly NodeEntry[]): GroupMembers {
  const members = controllerMembers(nodes.map((node) => node.id));
  return { members, joining: [], replicas: members.length, asFounded: true, pinned: false, avoids: [] };
}

/** One range a shard, in order. */
function evenSlots(ids: readonly number[]): Map<number, SlotRanges> {
  const bound = (i: number): number => Math.floor((i * SLOT_COUNT) / ids.length);
  return new Map(ids.map((id, i): [number, SlotRanges] => [id, [[bound(i), bound(i + 1) - 1]]]));
}

/**
 * A node's addresses or labels, or a node that joins. A known id with another incarnation is a wiped disk or a second
 * node under a used name: refused (F24, F25).
 */
export function applyRegisterNode(state: ControllerState, command: CommandOf<'register_node'>): ControllerResult {
  const map = state.map;
  if (map === null) return { kind: 'not_initialised' };
  const { node } = command;
  if (map.gone.includes(node.id)) {
    return { kind: 'refused', reason: `${node.id} has left this cluster for good: let it join under a new name` };
  }
  const known = map.nodes.find((other) => other.id === node.id);
  if (known !== undefined && known.incarnation !== node.incarnation) {
    const reason = `${node.id} is known with incarnation ${known.incarnation}, not ${node.incarnation}: its disk was lost or its name is used twice; let it join under a new name`;
    return { kind: 'refused', reason };
  }
  const twin = map.nodes.find((other) => other.incarnation === node.incarnation && other.id !== node.id);
  if (twin !== undefined) {
    return {
      kind: 'refused',
      reason: `${node.id} shows the incarnation of ${twin.id}: its disk is a copy of that node's`,
    };
  }
  if (known !== undefined && sameNode(known, node)) return { kind: 'registered', epoch: map.epoch, changed: false };
  return { kind: 'registered', epoch: state.changeMap({ kind: 'node', node }), changed: true };
}

/** What operators have set: those named are so from now on. What has begun under the earlier ones goes on. */
export function applyChangeSettings(state: ControllerState, command: CommandOf<'change_settings'>): ControllerResult {
  const { rebuildAfter_ms } = command;
  if (state.settings.rebuildAfter_ms !== rebuildAfter_ms) state.putSettings({ ...state.settings, rebuildAfter_ms });
  return { kind: 'ok' };
}

function sameNode(a: NodeEntry, b: NodeEntry): boolean {
  const labels = Object.keys(a.labels);
  return (
    a.http === b.http &&
    a.peer === b.peer &&
    labels.length === Object.keys(b.labels).length &&
    labels.every((label) => a.labels[label] === b.labels[label])
  );
}
