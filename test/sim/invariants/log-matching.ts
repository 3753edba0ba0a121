/**
 * Log matching (dissertation, figure 3.2): if two logs hold an entry of the same index and term, they are equal up to it.
 * Checked where the two logs overlap in memory, from the last common entry backwards.
 */
import { index, type Replica } from '../../../src/raft/index.js';
import { type ClusterState, type Invariant, nameOf } from './invariant.js';

export class LogMatching implements Invariant {
  readonly name = 'log matching';

  check(state: ClusterState): string | null {
    for (const one of state.changed) {
      for (const other of state.replicas) {
        if (other.group !== one.group || other === one) continue;
        const wrong = differ(one.replica, other.replica);
        if (wrong !== null) return `${nameOf(one.group)}: ${one.node} and ${other.node} ${wrong}`;
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
