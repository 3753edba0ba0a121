/**
 * Messages on their way into the next Ready: those that may go at once, and those that promise something which must be
 * durable first (a vote, an accepted entry).
 */
import { type Message, MessageType } from './types.js';

const NO_MESSAGES: readonly Message[] = Object.freeze([]);

export class Outbox {
  #now: Message[] = [];
  #afterAppend: Message[] = [];

  get hasNow(): boolean {
    return this.#now.length > 0;
  }
  get hasAfterAppend(): boolean {
    return this.#afterAppend.length > 0;
  }

  send(message: Message): void {
    this.#now.push(message);
  }

  sendAll(messages: readonly Message[]): void {
    for (const message of messages) this.#now.push(message);
  }

  /** An acceptance takes the place of the one before it: of one term, the higher index says both. */
  sendAfterAppend(message: Message): void {
    const pending = this.#afterAppend;
    const previous = pending[pending.length - 1];
    if (
      previous !== undefined &&
      message.type === MessageType.AppendResponse &&
      previous.type === MessageType.AppendResponse &&
      previous.to === message.to &&
      previous.term === message.term &&
      previous.index <= message.index
    ) {
      pending[pending.length - 1] = message;
      return;
    }
    pending.push(message);
  }

  takeNow(): readonly Message[] {
    if (this.#now.length === 0) return NO_MESSAGES;
    const taken = this.#now;
    this.#now = [];
    return taken;
  }

  takeAfterAppend(): readonly Message[] {
    if (this.#afterAppend.length === 0) return NO_MESSAGES;
    const taken = this.#afterAppend;
    this.#afterAppend = [];
    return taken;
  }
}
