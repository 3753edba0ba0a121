/** What each of several nodes says of the cluster's members, put together. */
import type { ClusterView } from '../../../src/kv/client/index.js';
import { ask } from './admin-call.js';
import { type Expected, flawsOf, type RosterFlaws, summed } from './roster-check.js';

interface Asked {
  readonly id: string;
  /** `http://host:port` */
  readonly http: string;
}

/** Whoever does not answer is a flaw by itself. */
export async function flawsByAll(nodes: readonly Asked[], expected: Expected): Promise<RosterFlaws> {
  const found = await Promise.all(
    nodes.map(async ({ id, http }) => {
      const seen = await ask<ClusterView>(http, { method: 'GET', path: '/v1/cluster' });
      if (seen.kind !== 'ok') return { by: id, ghosts: [], lacks: [`it does not tell (${seen.why})`], excused: [] };
      return { by: id, ...flawsOf(seen.value, expected) };
    }),
  );
  return summed(found);
}
