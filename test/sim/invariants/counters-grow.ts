/**
 * What a shard counts never falls, and a shard that takes slots over counts on from where they have been: the clock by which
 * keys expire, so that none whose time had come is read again, and revisions, so that a key's only grow (resharding.md).
 * Told of each command the first time it is applied anywhere.
 */
import { isWrite, type KvCommand, type KvResult } from '../../../src/kv/store/index.js';

/** Of a machine, after the command. */
export interface Counters {
  readonly clock_ms: number;
  readonly revision: number;
}

export class CountersGrow {
  #last: Counters = { clock_ms: 0, revision: 0 };

  /** What is wrong, or null. */
  applied(command: KvCommand, answer: KvResult, { clock_ms, revision }: Counters): string | null {
    const before = this.#last;
    this.#last = { clock_ms, revision };
    const wrong = (what: keyof Counters, least: number): string => `${what} is ${this.#last[what]} after ${least}`;
    if (clock_ms < before.clock_ms) return wrong('clock_ms', before.clock_ms);
    if (revision < before.revision) return wrong('revision', before.revision);
    if (isNew(command, answer) && !(answer.revision > before.revision))
      return `a write was given revision ${answer.revision} after ${before.revision}`;
    if (command.kind !== 'install' || answer.kind !== 'installed') return null;
    if (clock_ms < command.clock_ms) return `${wrong('clock_ms', command.clock_ms)}, which its source had reached`;
    if (revision < command.revision) return `${wrong('revision', command.revision)}, which its source had reached`;
    return null;
  }
}

/** A write that had an effect now; under an idempotency key it may be told of an earlier one (one-effect.ts). */
function isNew(
  command: KvCommand,
  answer: KvResult,
): answer is Extract<KvResult, { readonly kind: 'stored' | 'deleted' }> {
  return (answer.kind === 'stored' || answer.kind === 'deleted') && isWrite(command) && command.idempotency === null;
}
