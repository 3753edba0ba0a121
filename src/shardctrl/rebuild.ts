/**
 * Replicas on nodes that stay away: which of them are made anew elsewhere, and of each that is not, why. Pure, and one answer
 * for both who acts and who asks: the driver begins what is due here, and operators are shown the same.
 *
 * Operators have to allow it, and say how long a node must have been down. The lost replica stays a member until its
 * successor has caught up, and goes in the one joint change that lets the successor in: a node that comes back before that
 * is counted as ever. Groups whose majority is away are left alone: nobody could agree on a change of them.
 */
import type { GroupId, NodeId } from '../raft/index.js';
import { type MemberChange, newcomersOf } from './member-change.js';
import { hasMajority, type MemberWish, nodesOf, placeFor, type RepairView } from './member-repair.js';
import type { PlanState } from './plan.js';
import type { ClusterSettings } from './settings.js';
import { type GroupMembers, groupOf, groupsOf, type ShardMap } from './shard-map.js';

export interface RebuildView extends RepairView {
  /** Of members, at most one a group. */
  readonly changes: readonly MemberChange[];
  /** Shards that are about to go. */
  readonly retiring: readonly GroupId[];
  /** How long the node has been down; null: it is not. */
  readonly downFor_ms: (node: NodeId) => number | null;
  /** null: not allowed. */
  readonly rebuildAfter_ms: number | null;
}

/** What the controller's log says and what a node sees of the others, put together. */
export function rebuildView(seen: {
  readonly map: ShardMap;
  readonly changes: readonly MemberChange[];
  /** The one that runs; null: none. */
  readonly plan: Pick<PlanState, 'retiring'> | null;
  readonly settings: Pick<ClusterSettings, 'rebuildAfter_ms'>;
  readonly healthy: (node: NodeId) => boolean;
  readonly downFor_ms: (node: NodeId) => number | null;
  readonly shunned?: ReadonlySet<NodeId>;
}): RebuildView {
  const { map, changes, plan, settings, healthy, downFor_ms, shunned = new Set() } = seen;
  const retiring = plan?.retiring ?? [];
  const busy = new Set([...changes.map((change) => change.group), ...retiring]);
  const { rebuildAfter_ms } = settings;
  return { map, changes, retiring, busy, calm: plan === null, healthy, downFor_ms, shunned, rebuildAfter_ms };
}

/** What becomes of a replica whose node is down. */
export type Outlook =
  /** It leaves the group as soon as those have caught up who come for it. */
  | { readonly kind: 'rebuilding'; readonly to: readonly NodeId[] }
  /** Next, or as soon as others have been rebuilt. */
  | { readonly kind: 'due'; readonly to: NodeId }
  /** Not down for long enough yet. */
  | { readonly kind: 'waiting'; readonly rebuildAfter_ms: number }
  | { readonly kind: 'not_allowed' }
  /** Of the group's members so many are there, and so many would have to be. */
  | { readonly kind: 'no_majority'; readonly there: number; readonly needed: number }
  | { readonly kind: 'no_place' }
  | { readonly kind: 'busy'; readonly cause: string }
  | { readonly kind: 'draining' }
  | { readonly kind: 'retiring' };

export interface LostReplica {
  readonly group: GroupId;
  readonly node: NodeId;
  readonly outlook: Outlook;
}

/** Members on nodes that are down, the controller's first. */
export function lostReplicas(view: RebuildView): LostReplica[] {
  return groupsOf(view.map).flatMap(([group, members]) =>
    nodesOf(members).flatMap((node) => {
      const downFor_ms = view.downFor_ms(node);
      return downFor_ms === null ? [] : [{ group, node, outlook: outlookOf(view, group, members, node, downFor_ms) }];
    }),
  );
}

function outlookOf(
  view: RebuildView,
  group: GroupId,
  members: GroupMembers,
  node: NodeId,
  downFor_ms: number,
): Outlook {
  const { map, healthy, rebuildAfter_ms } = view;
  const all = nodesOf(members);
  if (!hasMajority(all, healthy)) {
    return { kind: 'no_majority', there: all.filter(healthy).length, needed: Math.floor(all.length / 2) + 1 };
  }
  const change = view.changes.find((one) => one.group === group);
  if (change?.target.every((member) => member.node !== node) === true) {
    return { kind: 'rebuilding', to: newcomersOf(change).map((member) => member.node) };
  }
  if (map.draining.includes(node)) return { kind: 'draining' };
  if (rebuildAfter_ms === null) return { kind: 'not_allowed' };
  if (view.retiring.includes(group)) return { kind: 'retiring' };
  if (change !== undefined) return { kind: 'busy', cause: change.cause };
  const to = placeFor(view, members, node);
  if (to === null) return { kind: 'no_place' };
  return downFor_ms < rebuildAfter_ms ? { kind: 'waiting', rebuildAfter_ms } : { kind: 'due', to };
}

/** What should be rebuilt next; null: nothing. First the groups that would lose their majority first. */
export function nextRebuild(view: RebuildView): MemberWish | null {
  let best: { readonly wish: MemberWish; readonly spare: number } | null = null;
  for (const { group, node, outlook } of lostReplicas(view)) {
    if (outlook.kind !== 'due') continue;
    const spare = spareOf(view, group);
    if (best !== null && best.spare <= spare) continue;
    const cause = `${outlook.to} takes the place of ${node}, which is down`;
    best = { wish: { group, add: [outlook.to], remove: [node], rebuild: true, cause }, spare };
  }
  return best?.wish ?? null;
}

/** How many members more than those away the group has. */
function spareOf({ map, healthy }: RebuildView, group: GroupId): number {
  const all = nodesOf(groupOf(map, group)!);
  return 2 * all.filter(healthy).length - all.length;
}
