/**
 * Log matching (dissertation, figure 3.2): if two logs hold an entry of the same index and term, they are equal up to it.
 * Checked where the two logs overlap in memory, from the last common entry backwards.
 */
import { index, type Replica } from '../../../src/raft/index.js';
import { type ClusterState, type Invariant, nameOf, type ReplicaView } from './invariant.js';

export class LogMatching implements Invariant {
  readonly name = 'log matching';

  check(state: ClusterState): string | null {
    const byGroup = new Map<number, ReplicaView[]>();
    for (const view of state.replicas) byGroup.set(view.group, [...(byGroup.get(view.group) ?? []), view]);
    for (const [group, views] of byGroup) {
      for (let i = 0; i < views.length; i++) {
        for (let j = i + 1; j < views.length; j++) {
          const wrong = differ(views[i]!.replica, views[j]!.replica);
          if (wrong !== null) return `${nameOf(group)}: ${views[i]!.node} and ${views[j]!.node} ${wrong}`;
        }
      }
    }
    return null;
  }
}

function differ(a: Replica, b: Replica): string | null {
  const last = Math.min(a.lastIndex, b.lastIndex);
  let matching = 0;
  for (let at = last; at > 0; at--) {
    const [left, right] = [a.termAt(index(at)), b.termAt(index(at))];
    if (left === null || right === null) return null;
    if (left === right) matching ||= at;
    else if (matching > 0) return `agree on entry ${matching}, but entry ${at} is of term ${left} here, ${right} there`;
    // Below what both have committed there is nothing left that the committed log does not check.
    if (matching > 0 && at < Math.min(a.commit, b.commit)) return null;
  }
  return null;
}
