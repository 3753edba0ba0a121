/** What remains of the lane of members where the cluster is not ours: leaders change, nodes and members stay as they are. */
import type { SimRandom } from '../../sim/fakes/random.js';
import { pause } from '../pause.js';
import type { Finding } from '../workloads/workload.js';
import type { DeedPorts } from './deed.js';
import { transferLeader } from './leader-transfer.js';

const CALM_MS = { least: 500, most: 3_000 } as const;

export type LeadersLaneOptions = Omit<DeedPorts, 'strange'> & {
  readonly random: SimRandom;
  readonly signal: AbortSignal;
};

/** Until the signal says so; resolves with answers that no fault excuses. */
export async function changeLeaders({ random, signal, ...ports }: LeadersLaneOptions): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const strange = (message: string): void => void findings.push({ workload: 'members', message });
  for (let round = 1; !signal.aborted; round++) {
    const own = random.fork(`leader-${round}`);
    await pause(own.between(CALM_MS.least, CALM_MS.most), signal);
    if (!signal.aborted) await transferLeader({ ...ports, strange }, own);
  }
  return findings;
}
