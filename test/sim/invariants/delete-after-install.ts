/** A source gives slots away only when the destination has installed them under the same move (F61). */
import { isWrite, type KvCommand, type KvResult } from '../../../src/kv/store/index.js';

export class DeleteAfterInstall {
  readonly #installed = new Set<number>();

  /** The first time that an entry is applied. What is wrong, or null. */
  applied(command: KvCommand, answer: KvResult): string | null {
    if (isWrite(command)) return null;
    if (command.kind === 'install' && answer.kind === 'installed') this.#installed.add(command.move);
    if (command.kind !== 'delete' || answer.kind !== 'ok' || this.#installed.has(command.move)) return null;
    return `delete after install: move ${command.move} was deleted at its source, and nobody has installed it`;
  }
}
