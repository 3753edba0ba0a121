/** Who belongs to the cluster and hosts what, as far as it is known; and what the lane of members does next. Pure. */
import type { ClusterView } from '../../../src/kv/client/index.js';

type Shard = ClusterView['shards'][number];

/** A voting member's replica, as it says itself; of one that says nothing it is `unknown`. */
const VOTING: ReadonlySet<string> = new Set(['leader', 'follower', 'candidate']);

export const votersOf = ({ members }: Shard): readonly string[] =>
  members.filter(({ role }) => VOTING.has(role)).map(({ node }) => node);

const isOn = (members: Shard['members'], id: string): boolean => members.some(({ node }) => node === id);

export const belongs = (view: ClusterView | null, id: string): boolean =>
  view?.nodes.some((node) => node.id === id) === true;

/**
 * A member that hosts its share. It gets none where no other node has two replicas that it could spare one of; nor while a node is
 * lost, since replicas are not spread then: that one is to be drained first.
 */
export function hasSettled(view: ClusterView | null, id: string, lost: boolean): boolean {
  if (view === null || !belongs(view, id)) return false;
  if (lost || view.shards.some((shard) => votersOf(shard).includes(id))) return true;
  const load = view.nodes.map((node) => view.shards.filter(({ members }) => isOn(members, node.id)).length);
  return Math.max(...load) < 2;
}

export interface Known {
  readonly view: ClusterView | null;
  /** Nodes that sit here, in the order in which they came. */
  readonly seated: readonly string[];
  readonly vacant: boolean;
  readonly spent: ReadonlySet<string>;
  /** Sits here and is to become a member with replicas. */
  readonly arriving: string | null;
  /** Is to leave. */
  readonly leaving: { readonly id: string; readonly asked: boolean } | null;
}

export type Step =
  | { readonly kind: 'seat' }
  | { readonly kind: 'arrived'; readonly id: string }
  /** `candidates`: any of them will do. */
  | { readonly kind: 'choose'; readonly candidates: readonly string[] }
  | { readonly kind: 'drain'; readonly id: string }
  | { readonly kind: 'vacate'; readonly id: string }
  | { readonly kind: 'wait' };

const WAIT: Step = { kind: 'wait' };

/**
 * A node comes, then another one goes: so there are never fewer than in the beginning. A lost one goes first, and of the others
 * not the one that came last. `begins` false: what is under way is brought to its end, and nothing else is begun.
 */
export function nextStep(known: Known, begins: boolean): Step {
  const { view, seated, vacant, spent, arriving, leaving } = known;
  if (leaving !== null) {
    // Whoever has not been asked for certain is in the map still: that says nothing.
    if (!leaving.asked) return { kind: 'drain', id: leaving.id };
    return view !== null && !belongs(view, leaving.id) ? { kind: 'vacate', id: leaving.id } : WAIT;
  }
  if (arriving !== null) return hasSettled(view, arriving, spent.size > 0) ? { kind: 'arrived', id: arriving } : WAIT;
  if (!begins) return WAIT;
  if (vacant) return { kind: 'seat' };
  const lost = seated.filter((id) => spent.has(id));
  return { kind: 'choose', candidates: lost.length > 0 ? lost : seated.slice(0, -1) };
}
