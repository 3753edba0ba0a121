/** Reading a replica's applied state over several turns, while that state may be replaced or removed, or prove damaged. */
import { isDamage, type Replica, type ReplicaHost, type StateMachine } from '../../raft/index.js';

/**
 * What the work comes to. null: meanwhile the state was replaced by a snapshot, or the replica removed, so that the engine
 * beneath was closed; or its rows are not what was written, and the replica has stopped because of it: whoever asks finds
 * another. Rejects as the work does otherwise.
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
    if (host.get(replica.group) !== replica || replica.machine !== machine) return null;
    if (!isDamage(error)) throw error;
    replica.reportDamage(error);
    return null;
  }
}

/** Reads at once, outside of the replica's own turns. null: its rows are not what was written, as above. */
export function onStateNow<T>(replica: Replica, read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (!isDamage(error)) throw error;
    replica.reportDamage(error);
    return null;
  }
}
