/** Reading a replica's applied state over several turns, while that state may be replaced or removed. */
import type { Replica, ReplicaHost, StateMachine } from '../../raft/index.js';

/**
 * What the work comes to. null: meanwhile the state was replaced by a snapshot, or the replica removed, so that the engine
 * beneath was closed. Rejects as the work does otherwise.
 */
export async function onState<M extends StateMachine, T>(
  host: ReplicaHost,
  replica: Replica,
  work: (machine: M) => Promise<T>,
): Promise<T | null> {
  const machine = replica.machine as M;
  try {
    return await work(machine);
  } catch (error) {
    if (host.get(replica.group) === replica && replica.machine === machine) throw error;
    return null;
  }
}
