/** What a run has shown. The worst comes first: a broken promise counts more than a crash, a crash more than slowness. */
import type { Verdict } from '../exit-codes.js';
import type { RunRecord } from './run-record.js';

export function verdictOf({
  findings,
  journal,
  interrupted,
}: Pick<RunRecord, 'findings' | 'journal' | 'interrupted'>): Verdict {
  if (findings.length > 0) return 'violation';
  if (journal.crashes.length > 0) return 'crash';
  if (journal.stalls.length > 0) return 'noProgress';
  return interrupted ? 'interrupted' : 'ok';
}

export const VERDICT_WORDS: Readonly<Record<Verdict, string>> = {
  ok: 'OK: no promise broken, every shard served in time',
  violation: 'VIOLATION: the store broke a promise',
  crash: 'CRASH: a node ended by itself, or the harness failed',
  noProgress: 'NO PROGRESS: a shard was not served in time, or what was begun did not end',
  interrupted: 'INTERRUPTED: nothing wrong until then',
};
