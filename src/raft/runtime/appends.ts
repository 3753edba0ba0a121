/**
 * What a replica writes to the log, and what waits for that: messages that must not go before it is durable, and the core,
 * which is told then. Proposals gather while a write is in flight (proposal-inbox.ts).
 *
 * One write is more than entries: the record that names the engine of a received snapshot **is** the switch to that state
 * (F7). While it is on its way nothing is applied, and no later write is acknowledged before the switch has happened.
 */
import type { Message, Ready } from '../core/index.js';
import type { SnapshotRecord } from '../ports.js';
import { asError } from './damage.js';
import type { Peers } from './peers.js';
import type { ReplicaContext } from './replica-context.js';

export class Appends {
  readonly #context: ReplicaContext;
  readonly #peers: Peers;
  #inFlight = 0;
  /** The switch to a received state is being recorded: settles when that state is in force. */
  #switching: Promise<void> | null = null;

  constructor(context: ReplicaContext, peers: Peers) {
    this.#context = context;
    this.#peers = peers;
  }

  get inFlight(): boolean {
    return this.#inFlight > 0;
  }

  get switching(): boolean {
    return this.#switching !== null;
  }

  write(ready: Ready): void {
    const { seq, hardState, entries, messagesAfterAppend } = ready;
    const { environment, group, life } = this.#context;
    this.#inFlight++;
    const durable = environment.log.append({ group, hardState, snapshot: null, entries });
    // While a received snapshot takes the state's place, nothing is acknowledged: the core would take it for applied.
    const acknowledged = this.#switching === null ? durable : durable.then(() => this.#switching);
    acknowledged.then(
      () => {
        this.#inFlight--;
        this.#persisted(seq, messagesAfterAppend);
      },
      (error: Error) => life.fatal(error),
    );
  }

  /** `ready` adopts a received state, `snapshot` names its engine; `recorded` puts it in force. */
  writeSwitch(ready: Ready, snapshot: SnapshotRecord, recorded: () => void): void {
    const { seq, hardState, entries, messagesAfterAppend } = ready;
    const { environment, group, life } = this.#context;
    this.#inFlight++;
    const durable = environment.log.append({ group, hardState, snapshot, entries });
    this.#switching = durable.then(() => {
      this.#inFlight--;
      this.#switching = null;
      if (!life.active) return;
      recorded();
      this.#persisted(seq, messagesAfterAppend);
    });
    this.#switching.catch((error: Error) => life.fatal(error));
  }

  #persisted(seq: number, messagesAfterAppend: readonly Message[]): void {
    const { core, life, schedule } = this.#context;
    if (!life.active) return;
    this.#peers.sendAll(messagesAfterAppend);
    try {
      core.persisted(seq);
    } catch (error) {
      life.markDamaged(asError(error));
    }
    schedule();
  }
}
