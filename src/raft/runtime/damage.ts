/**
 * A replica whose files are not what was written. It stops; nothing it holds may be given out, and it never votes again.
 * Any other failure to open (too many open files, no permission) says nothing about the files and stops the node instead.
 */
export class ReplicaDamaged extends Error {
  override readonly name = 'ReplicaDamaged';
  readonly code = 'REPLICA_DAMAGED';
}

/** By code, since engines and state machines have errors of their own: `ENGINE_DAMAGED`, `DAMAGED_STATE`. */
export function isDamage(error: unknown): error is Error {
  const code = (error as { code?: unknown } | null)?.code;
  return code === 'REPLICA_DAMAGED' || code === 'ENGINE_DAMAGED' || code === 'DAMAGED_STATE';
}

/** An invariant that fails on what the disk gave back is damage, too; anything else is passed on as it is. */
export function asDamage(error: unknown): unknown {
  if (isDamage(error) || !(error instanceof Error) || !error.message.startsWith('invariant:')) return error;
  return new ReplicaDamaged(error.message, { cause: error });
}

export const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
