/**
 * A change of a group's members, and the next step towards it: pure functions, so that whoever drives it keeps nothing in
 * memory. The controller's log says what is wanted, the group's Raft configuration what is; each step goes from one closer
 * to the other, and may be found again after a crash anywhere in between.
 *
 * New replicas are learners until they have what is committed (Raft, section 4.2.1); then one joint change (section 4.3)
 * makes them voters and lets those go that are to leave, so that the group never has fewer voters than before or after.
 */
import type { ConfChange, ConfChangeStep, ConfState, GroupId, Index, NodeId, ReplicaId, Term } from '../raft/index.js';
import type { ShardMember } from './shard-map.js';

export interface MemberChange {
  /** Index of the controller's entry that began it. */
  readonly id: number;
  readonly group: GroupId;
  /** The voters when it is done. */
  readonly target: readonly ShardMember[];
  /** What is given up goes back to these. */
  readonly before: readonly ShardMember[];
  /** How many members the group should have once it is done. */
  readonly replicas: number;
  /** Who goes has been down for too long. Left out where it is not so, as in rows of before there was such a thing. */
  readonly rebuild?: true;
  /** For whoever looks: `n4 joins`, `n2 is drained`. */
  readonly cause: string;
  readonly started_ms: number;
  /** Why it was given up; `target` is `before` then. null: it was not. */
  readonly givenUp: string | null;
  /** Of one that was given up: what `target` was. The group may have got there before anybody knew. */
  readonly abandoned?: readonly ShardMember[];
}

/** What the group's leader says. */
export interface Membership {
  readonly conf: ConfState;
  readonly confIndex: Index;
  /** A majority of the members knows of it, whatever becomes of them: who has left is needed no more. */
  readonly settled: boolean;
  readonly leader: ReplicaId;
  readonly term: Term;
  /** How far learners are. Left out by earlier builds. */
  readonly newcomers?: readonly NewcomerProgress[];
}

export interface NewcomerProgress {
  readonly id: ReplicaId;
  /** Up to where it has the log. */
  readonly match: number;
  /** How many committed entries it lacks. */
  readonly behind: number;
  /** Of the snapshot that is being streamed to it: how much has arrived; 0: none is. */
  readonly frames: number;
}

export type MemberStep =
  | { readonly kind: 'done' }
  /** It was given up, but the group had taken it: that stands. */
  | { readonly kind: 'taken' }
  /** A step is under way in the group's own log, or not everybody who must know of the last one does. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'change'; readonly change: ConfChange }
  /** The leader is to go: somebody who stays takes over first, so that nobody waits for an election. */
  | { readonly kind: 'transfer'; readonly to: NodeId };

const has = (list: readonly { readonly id: ReplicaId }[], { replica }: ShardMember): boolean =>
  list.some((member) => member.id === replica);

const change = (steps: readonly ConfChangeStep[]): MemberStep => ({
  kind: 'change',
  change: { steps, transition: 'auto' },
});

const isMadeOf = ({ voters }: ConfState, members: readonly ShardMember[]): boolean =>
  voters.length === members.length && members.every((member) => has(voters, member));

const WAIT: MemberStep = { kind: 'wait' };

/** `avoid`: nodes that should not be given a leadership now. */
export function nextMemberStep(
  { target, abandoned }: Pick<MemberChange, 'target' | 'abandoned'>,
  { conf, leader, settled }: Membership,
  avoid: ReadonlySet<NodeId>,
): MemberStep {
  if (conf.outgoing.length > 0) return WAIT;
  // Going back would bring replicas in again whose time in the group is over, on nodes that may be gone for good.
  if (abandoned !== undefined && isMadeOf(conf, abandoned)) return settled ? { kind: 'taken' } : WAIT;
  const wanted = (id: ReplicaId): boolean => target.some((member) => member.replica === id);
  // Left over from a change that was given up: they may well be dead, and count for nothing.
  const strays = conf.learners.filter(({ id }) => !wanted(id));
  if (strays[0] !== undefined) return change([{ op: 'remove', id: strays[0].id }]);
  const missing = target.filter((member) => !has(conf.voters, member));
  const unknown = missing.find((member) => !has(conf.learners, member));
  if (unknown !== undefined) return change([{ op: 'add_learner', member: asMember(unknown) }]);
  const leaving = conf.voters.filter(({ id }) => !wanted(id));
  if (missing.length === 0 && leaving.length === 0) return settled ? { kind: 'done' } : WAIT;
  if (leaving.some(({ id }) => id === leader)) {
    const heir = conf.voters.find(({ id, node }) => wanted(id) && !avoid.has(node));
    if (heir !== undefined) return { kind: 'transfer', to: heir.node };
  }
  return change([
    ...missing.map((member): ConfChangeStep => ({ op: 'add_voter', member: asMember(member) })),
    ...leaving.map(({ id }): ConfChangeStep => ({ op: 'remove', id })),
  ]);
}

const asMember = ({ node, replica }: ShardMember) => ({ node, id: replica });

/** Who is to be a member and was not. */
export const newcomersOf = ({ before, target }: Pick<MemberChange, 'before' | 'target'>): readonly ShardMember[] =>
  target.filter(({ replica }) => !before.some((member) => member.replica === replica));
