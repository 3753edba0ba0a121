/**
 * A state that a leader streams here, on its way to take the place of the one in force. Once all of it is here
 * (snapshot-receiver.ts) it is opened: what can't be opened never comes into force. Then the core is told, and if it wants
 * the state, the log records the new engine's name (appends.ts): that record is the switch (F7). There is one at a time;
 * another one that arrives meanwhile is dropped, and so is one that the core does not want (F8).
 */
import { index, type Message, MessageType, NO_ENTRIES, type NodeId, type Ready, type Term } from '../core/index.js';
import type { Appends } from './appends.js';
import type { Applier } from './applier.js';
import { asError } from './damage.js';
import { type OpenState, stateOn } from './open-state.js';
import type { PendingProposals } from './pending-proposals.js';
import type { ReplicaContext } from './replica-context.js';
import type { SnapshotFrame } from './snapshot-codec.js';
import { SnapshotReceiver, type StagedSnapshot } from './snapshot-receiver.js';

export interface IncomingStateParts {
  readonly appends: Appends;
  readonly applier: Applier;
  readonly proposals: PendingProposals;
  /** Tells the core. */
  readonly step: (message: Message) => void;
}

/** All of it is here. */
interface Incoming {
  readonly staged: StagedSnapshot;
  readonly state: OpenState;
  /** The core has been told; it wants it, or it never will. */
  offered: boolean;
}

export class IncomingState {
  readonly #context: ReplicaContext;
  readonly #parts: IncomingStateParts;
  readonly #receiver: SnapshotReceiver;
  #incoming: Incoming | null = null;
  /** Engines being opened, closed and removed beside everything else. Never rejects. */
  #background: Promise<unknown> = Promise.resolve();

  constructor(context: ReplicaContext, parts: IncomingStateParts) {
    this.#context = context;
    this.#parts = parts;
    const { environment, group, id, life, event } = context;
    this.#receiver = new SnapshotReceiver({
      clock: environment.clock,
      group,
      replica: id,
      engines: environment.engines,
      newEngineName: () => environment.newEngineName(group),
      send: environment.sendSnapshot,
      staged: (snapshot) => this.#stage(snapshot),
      event: (text) => event('warn', text),
      failed: (error) => life.fatal(error),
    });
  }

  /** Some of it is here, or all. */
  get underWay(): boolean {
    return this.#incoming !== null || this.#receiver.receiving;
  }

  enterTerm(term: Term): void {
    this.#receiver.enterTerm(term);
  }

  onFrame(from: NodeId, frame: SnapshotFrame): void {
    this.#receiver.onFrame(from, frame);
  }

  #stage(staged: StagedSnapshot): void {
    const { environment, group, life } = this.#context;
    if (this.#incoming !== null || !life.active) {
      this.#inBackground(this.#drop(staged));
      return;
    }
    const state = stateOn(staged, environment, group, (error) =>
      this.#parts.applier.engineFailed(staged.engine, error),
    );
    const incoming = { staged, state, offered: false };
    this.#incoming = incoming;
    this.#inBackground(
      state.machine.open(staged.engine, state.rows).then(
        () => this.#offer(incoming),
        (error: unknown) => {
          if (life.stopped) return undefined;
          this.#context.event('error', `a received snapshot can't be opened: ${asError(error).message}`);
          this.#incoming = null;
          return this.#drop(staged);
        },
      ),
    );
  }

  #offer(incoming: Incoming): void {
    const { life, id } = this.#context;
    if (!life.active) return;
    const { meta, from, leaderTerm } = incoming.staged;
    incoming.offered = true;
    this.#parts.step({
      type: MessageType.InstallSnapshot,
      from,
      to: id,
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
    if (incoming === null || !incoming.offered || this.#parts.appends.switching) return;
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
    const { applier, appends } = this.#parts;
    // They are all of before the snapshot: what the core hands out from now on comes after.
    applier.clear();
    const record = { ...meta, engine: incoming.staged.engineName };
    appends.writeSwitch(ready, record, () => this.#switchTo(incoming));
  }

  #switchTo({ staged, state }: Incoming): void {
    const { environment, event, changed } = this.#context;
    const { applier, proposals } = this.#parts;
    const old = applier.switchTo(state);
    this.#incoming = null;
    this.#inBackground(old.rows.close().then(() => environment.engines.remove(old.engineName)));
    proposals.skippedTo(staged.meta.index);
    event('info', `restored from a snapshot at index ${staged.meta.index}`);
    changed();
  }

  async #drop({ engine, engineName }: StagedSnapshot): Promise<void> {
    await engine.close();
    await this.#context.environment.engines.remove(engineName);
  }

  /** What fails here is I/O of the node's own disk. */
  #inBackground(work: Promise<void>): void {
    const done = work.catch((error: unknown) => this.#context.life.fatal(asError(error)));
    this.#background = Promise.all([this.#background, done]);
  }

  /** Resolves when nothing is left of one that was not all here. */
  stopReceiving(): Promise<void> {
    return this.#receiver.close();
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
