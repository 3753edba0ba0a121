/**
 * The arithmetic of majorities, also of two at once: within a joint configuration (section 4.3) every decision needs a
 * majority of the incoming and a majority of the outgoing voters.
 */
import type { Member, ReplicaId } from './types.js';

export type VoteResult = 'won' | 'lost' | 'pending';

/** Reused by all calls: the core is synchronous and a majority is small. */
const scratch: number[] = [];

/**
 * The highest index that a majority has reached. Infinity for no voters: an empty half of a joint configuration never
 * decides.
 */
export function majorityIndex(voters: readonly { readonly match: number }[]): number {
  const n = voters.length;
  if (n === 0) return Number.POSITIVE_INFINITY;
  for (let i = 0; i < n; i++) {
    const match = (voters[i] as { readonly match: number }).match;
    let at = i;
    while (at > 0 && (scratch[at - 1] as number) > match) {
      scratch[at] = scratch[at - 1] as number;
      at--;
    }
    scratch[at] = match;
  }
  // Ascending: the element at floor((n - 1) / 2) and all above it, a majority, have reached it.
  return scratch[(n - 1) >> 1] as number;
}

/** 0 when there are no voters at all: nothing commits in a group without voters. */
export function committedIndex(
  voters: readonly { readonly match: number }[],
  outgoing: readonly { readonly match: number }[],
): number {
  if (voters.length === 0) return 0;
  return Math.min(majorityIndex(voters), majorityIndex(outgoing));
}

export function isMajority(count: number, of: number): boolean {
  return count * 2 > of;
}

/** True if `test` holds for a majority of both halves. False for a group without voters. */
export function quorumHolds<T>(voters: readonly T[], outgoing: readonly T[], test: (voter: T) => boolean): boolean {
  return holdsInHalf(voters, test) && (outgoing.length === 0 || holdsInHalf(outgoing, test));
}

function holdsInHalf<T>(half: readonly T[], test: (voter: T) => boolean): boolean {
  let count = 0;
  for (const voter of half) if (test(voter)) count++;
  return isMajority(count, half.length);
}

function halfResult(half: readonly Member[], votes: ReadonlyMap<ReplicaId, boolean>): VoteResult {
  let yes = 0;
  let no = 0;
  for (const member of half) {
    const vote = votes.get(member.id);
    if (vote === true) yes++;
    else if (vote === false) no++;
  }
  if (isMajority(yes, half.length)) return 'won';
  return isMajority(half.length - no, half.length) ? 'pending' : 'lost';
}

/** Votes of others than the voters do not count. */
export function voteResult(
  voters: readonly Member[],
  outgoing: readonly Member[],
  votes: ReadonlyMap<ReplicaId, boolean>,
): VoteResult {
  const incoming = halfResult(voters, votes);
  if (outgoing.length === 0 || incoming === 'lost') return incoming;
  const leaving = halfResult(outgoing, votes);
  if (leaving === 'lost') return 'lost';
  return incoming === 'won' && leaving === 'won' ? 'won' : 'pending';
}
