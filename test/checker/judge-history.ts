/** One call for tests of the whole store: what is wrong with the history of its keys, in words, or nothing. */
import type { Operation } from './history.js';
import { registerModel } from './register-model.js';
import { checkRevisions } from './revision-oracle.js';
import { type CheckOptions, checkLinearizable } from './wgl.js';

/**
 * Puts, gets and deletes, against the register model and the revision oracle. null: all is well. A history that is too
 * large to be judged is a complaint, too: a test that cannot fail proves nothing.
 */
export function judgeHistory(history: readonly Operation[], options: CheckOptions = {}): string | null {
  const linearizable = checkLinearizable(registerModel, history, options);
  const revisions = checkRevisions(history);
  const complaints: string[] = [];
  if (!linearizable.ok) {
    complaints.push(linearizable.kind === 'violation' ? linearizable.violation.message : linearizable.message);
  }
  if (!revisions.ok) complaints.push(revisions.message);
  return complaints.length === 0 ? null : complaints.join('\n\n');
}
