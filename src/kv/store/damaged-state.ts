/**
 * What apply throws when a row of its own state is not what was written (F38).
 *
 * A flipped bit is local: the other replicas still have the row, so no result that depends on it may be given (F30 would
 * break), and no deterministic answer exists. The runtime takes this error for a damaged replica: it stops serving and
 * comes back from its peers. It is never caused by the bytes of an entry.
 */
export class DamagedState extends Error {
  override readonly name = 'DamagedState';
  readonly code = 'DAMAGED_STATE';
}
