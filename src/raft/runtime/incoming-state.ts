/**
 * A received state on its way to take the place of the one in force. It is opened first: what can't be opened never comes into
 * force. Then the core is told, and if it wants the state, the log records the new engine's name (appends.ts): that record
 * is the switch (F7). There is one at a time; another one that arrives meanwhile is dropped, and so is one that the core
 * does not want (F8).
 */
import {
  type GroupId,
  type Index,
  index,
  type Message,
  MessageType,
  NO_ENTRIES,
  type Ready,
  type ReplicaId,
} from '../core/index.js';
import type { StateEngine } from '../ports.js';
import type { Appends } from './appends.js';
import type { Applier } from './applier.js';
import { asError } from './damage.js';
import type { EventLevel, ReplicaEnvironment } from './environment.js';
import type { Life } from './life.js';
import { type OpenState, stateOn } from './open-state.js';
import type { StagedSnapshot } from './snapshot-receiver.js';

export interface IncomingStateOptions {
  readonly environment: ReplicaEnvironment;
  readonly group: GroupId;
  readonly replica: ReplicaId;
  readonly life: Life;
  readonly appends: Appends;
  readonly applier: Applier;
  /** Tells the core. */
  readonly step: (message: Message) => void;
  /** The state is in force; it is of this index. */
  readonly switched: (at: Index) => void;
  readonly engineFailed: (engine: StateEngine, error: Error) => void;
  readonly event: (level: EventLevel, text: string) => void;
}

interface Incoming {
  readonly staged: StagedSnapshot;
  readonly state: OpenState;
  /** The core has been told; it wants it, or it never will. */
  offered: boolean;
}

export class IncomingState {
  readonly #options: IncomingStateOptions;
  #incoming: Incoming | null = null;
  /** Engines being opened, closed and removed beside everything else. Never rejects. */
  #background: Promise<unknown> = Promise.resolve();

  constructor(options: IncomingStateOptions) {
    this.#options = options;
  }

  /** There is one. */
  get waiting(): boolean {
    return this.#incoming !== null;
  }

  stage(staged: StagedSnapshot): void {
    const { environment, group, life, engineFailed } = this.#options;
    if (this.#incoming !== null || !life.active) {
      this.#inBackground(this.#drop(staged));
      return;
    }
    const state = stateOn(staged, environment, group, (error) => engineFailed(staged.engine, error));
    const incoming = { staged, state, offered: false };
    this.#incoming = incoming;
    this.#inBackground(
      state.machine.open(staged.engine, state.rows).then(
        () => this.#offer(incoming),
        (error: unknown) => {
          if (life.stopped) return undefined;
          this.#options.event('error', `a received snapshot can't be opened: ${asError(error).message}`);
          this.#incoming = null;
          return this.#drop(staged);
        },
      ),
    );
  }

  #offer(incoming: Incoming): void {
    const { life, replica, step } = this.#options;
    if (!life.active) return;
    const { meta, from, leaderTerm } = incoming.staged;
    incoming.offered = true;
    step({
      type: MessageType.InstallSnapshot,
      from,
      to: replica,
      term: leaderTerm,
      index: meta.index,
      logTerm: meta.term,
      commit: index(0),
      entries: NO_ENTRIES,
      reject: false,
      hint: index(0),
      context: 0,
      snapshot: meta,
    });
  }

  /** The core found it stale. */
  discardUnused(): void {
    const incoming = this.#incoming;
    if (incoming === null || !incoming.offered || this.#options.appends.switching) return;
    this.#incoming = null;
    this.#inBackground(this.#drop(incoming.staged));
  }

  /** The core wants it: it is the snapshot of `ready`. */
  adopt(ready: Ready): void {
    const incoming = this.#incoming;
    const meta = ready.snapshot;
    if (meta === null || incoming === null || !incoming.offered || incoming.staged.meta.index !== meta.index) {
      throw new Error('invariant: the core adopts a snapshot that is not staged');
    }
    const { applier, appends } = this.#options;
    // They are all of before the snapshot: what the core hands out from now on comes after.
    applier.clear();
    const record = { ...meta, engine: incoming.staged.engineName };
    appends.writeSwitch(ready, record, () => this.#switchTo(incoming));
  }

  #switchTo({ staged, state }: Incoming): void {
    const { environment, applier, switched } = this.#options;
    const old = applier.switchTo(state);
    this.#incoming = null;
    this.#inBackground(old.rows.close().then(() => environment.engines.remove(old.engineName)));
    switched(staged.meta.index);
  }

  async #drop({ engine, engineName }: StagedSnapshot): Promise<void> {
    await engine.close();
    await this.#options.environment.engines.remove(engineName);
  }

  /** What fails here is I/O of the node's own disk. */
  #inBackground(work: Promise<void>): void {
    const done = work.catch((error: unknown) => this.#options.life.fatal(asError(error)));
    this.#background = Promise.all([this.#background, done]);
  }

  /** Resolves when no engine is being opened, closed or removed any more. */
  settled(): Promise<unknown> {
    return this.#background;
  }

  /** Of one that never came into force; once all has settled. */
  close(): Promise<void> | undefined {
    return this.#incoming?.state.rows.close();
  }
}
