/** All that is known of a run when it is over; what the page, the timeline and the exit code are made from. */
import type { Operation } from '../../checker/history.js';
import type { Journal } from '../journal.js';
import type { Sample } from '../watch/service-probe.js';
import type { Finding } from '../workloads/workload.js';

export interface WorkloadRecord {
  readonly name: string;
  readonly operations: readonly Operation[];
  /** Operations that are not on one key. */
  readonly extra: number;
}

export interface RunRecord {
  /** The command that does the same again. */
  readonly command: string;
  /** `3 nodes, 2 shards, 3 replicas, links through proxies`. */
  readonly cluster: string;
  /** How busy it was: on a busy one, times say little about the store. */
  readonly machine: string;
  readonly run_ms: number;
  readonly limit_ms: number;
  readonly journal: Pick<Journal, 'faults' | 'leaders' | 'epochs' | 'notes' | 'crashes' | 'stalls'>;
  readonly samples: readonly Sample[];
  readonly workloads: readonly WorkloadRecord[];
  readonly findings: readonly Finding[];
  /** Nemeses that were asked for and cannot work here, with the reason. */
  readonly skipped: readonly string[];
  readonly interrupted: boolean;
}
