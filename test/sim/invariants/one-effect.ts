/**
 * A write with an idempotency key has one effect (F50): whoever applies it again, before or after its slot has moved, gives
 * the first answer. Runs are shorter than answers are remembered.
 */
import { isWrite, type KvCommand, type KvResult } from '../../../src/kv/store/index.js';

export class OneEffect {
  /** By key and idempotency key: the fingerprint that came first, and its answer. */
  readonly #answers = new Map<string, { readonly fingerprint: string; readonly answer: string }>();

  /** The first time that an entry is applied. What is wrong, or null. */
  applied(command: KvCommand, answer: KvResult): string | null {
    if (!isWrite(command) || command.idempotency === null) return null;
    if (answer.kind === 'not_serving' || answer.kind === 'malformed') return null;
    const key = Buffer.from(command.key).toString('latin1');
    const name = `${key} ${command.idempotency.key}`;
    const fingerprint = Buffer.from(command.idempotency.fingerprint).toString('hex');
    const now = JSON.stringify(answer);
    const first = this.#answers.get(name);
    if (first === undefined) {
      this.#answers.set(name, { fingerprint, answer: now });
      return null;
    }
    const due = first.fingerprint === fingerprint ? first.answer : '{"kind":"conflict"}';
    return now === due
      ? null
      : `one effect: ${command.kind} of ${key} under idempotency key ${command.idempotency.key} was answered ${now}, before ${due}`;
  }
}
