/**
 * What one node does for the verification of one shard: waits for the mark, reads the view that it fixes, and keeps what it
 * has found until it is told to let go.
 *
 *   waiting ──mark──► reading ──► read ──► listing ──► listed
 *      └────────────────┴──► failed: no view, or one that was open for too long
 */
import type { Clock, Replica, ReplicaHost } from '../../../raft/index.js';
import type { SlotRanges } from '../../../shardctrl/index.js';
import type { KvStateMachine, MarkedView, Pace, RecordListing, ViewReport } from '../../store/index.js';
import { ReadingPace } from './reading-pace.js';
import type { PrepareRequest, ViewAnswer } from './view-schemas.js';

export interface ViewJobOptions {
  readonly clock: Clock;
  readonly host: Pick<ReplicaHost, 'get' | 'damaged'>;
  readonly undisturbed: () => Promise<void>;
  readonly request: PrepareRequest;
}

type State =
  | { readonly kind: 'waiting'; readonly replica: Replica; readonly machine: KvStateMachine; readonly stop: () => void }
  | { readonly kind: 'reading' }
  | { readonly kind: 'read'; readonly keys: number; readonly bytes: number; readonly report: ViewReport }
  | { readonly kind: 'listing' }
  | { readonly kind: 'listed'; readonly listing: RecordListing }
  | { readonly kind: 'failed'; readonly detail: string }
  | { readonly kind: 'released' };

interface Held {
  readonly view: MarkedView;
  readonly replica: Replica;
  readonly machine: KvStateMachine;
  readonly fixed_ms: number;
  readonly keys: number;
  readonly bytes: number;
}

export class ViewJob {
  readonly #options: ViewJobOptions;
  #state: State = { kind: 'released' };
  #held: Held | null = null;
  #tempo: ReadingPace;

  constructor(options: ViewJobOptions) {
    this.#options = options;
    this.#tempo = new ReadingPace(options.clock, options.request.bytesPerS);
    this.#wait();
  }

  get token(): string {
    return this.#options.request.token;
  }

  get shard(): number {
    return this.#options.request.shard;
  }

  /** Waits for the mark at the state as it is now: a snapshot of the leader may bring another one. */
  #wait(): void {
    const replica = this.#options.host.get(this.shard);
    const unfit = this.#unfit(replica);
    if (replica === undefined || unfit !== null) return this.#fail(unfit ?? 'it hosts no replica of the shard');
    const machine = replica.machine as KvStateMachine;
    const stop = machine.expectMark(this.token, (view) => this.#taken(view, replica, machine));
    this.#state = { kind: 'waiting', replica, machine, stop };
  }

  #unfit(replica: Replica | undefined): string | null {
    const damaged = this.#options.host.damaged(this.shard);
    if (damaged !== undefined) return `its replica is damaged: ${damaged.reason}`;
    return replica === undefined ? 'it hosts no replica of the shard' : null;
  }

  #taken(view: MarkedView | null, replica: Replica, machine: KvStateMachine): void {
    if (this.#state.kind !== 'waiting' || view === null) {
      void view?.close().catch(() => undefined);
      // Else whoever looks next finds out why.
      return;
    }
    const { keys, bytes } = view.expected;
    this.#held = { view, replica, machine, fixed_ms: this.#options.clock.monotonic_ms(), keys, bytes };
    this.#state = { kind: 'reading' };
    const { records, gone } = this.#options.request;
    const done = (report: ViewReport): State => ({ kind: 'read', keys, bytes, report });
    this.#work(this.#held, (pace) => view.read({ records, gone }, pace), done);
  }

  /** `work` is null where it was ended: then the state says so already. */
  #work<T>(held: Held, work: (pace: Pace) => Promise<T | null>, done: (result: T) => State): void {
    this.#tempo = new ReadingPace(this.#options.clock, this.#options.request.bytesPerS);
    work((bytes) => this.#pace(held, bytes)).then(
      (result) => {
        if (result !== null && this.#held === held) this.#state = done(result);
      },
      (error: unknown) => {
        if (this.#held !== held) return;
        const detail = error instanceof Error ? error.message : String(error);
        this.#fail(this.#lost(held) ?? `its rows could not be read: ${detail}`);
      },
    );
  }

  async #pace(held: Held, bytes: number): Promise<boolean> {
    const { request, undisturbed } = this.#options;
    await this.#tempo.rest(bytes);
    await undisturbed();
    if (this.#held !== held) return false;
    if (!this.#isOld(held)) return true;
    const read = `${held.view.bytesRead} of ${held.bytes} bytes read`;
    this.#fail(
      `given up after ${Math.round(request.giveUp_ms / 1_000)} s with ${read}: as long as a view is open, LevelDB gives back no space`,
    );
    return false;
  }

  #isOld({ fixed_ms }: Held): boolean {
    const { clock, request } = this.#options;
    return clock.monotonic_ms() - fixed_ms >= request.giveUp_ms;
  }

  /** A view that waits for others to be read is not held for ever either; what was found in it stays. */
  letGoInTime(): void {
    if (this.#state.kind === 'read' && this.#held !== null && this.#isOld(this.#held)) this.#letGo();
  }

  /** Why the state that was viewed is not this node's any more; null: it is. */
  #lost({ replica, machine }: Pick<Held, 'replica' | 'machine'>): string | null {
    const now = this.#options.host.get(this.shard);
    const unfit = this.#unfit(now);
    if (unfit !== null) return unfit;
    if (now !== replica) return 'its replica was removed and made anew';
    return replica.machine === machine ? null : 'its state was replaced by a snapshot of the leader';
  }

  /** `index`: of the mark, as far as whoever asks knows it. */
  look(index: number | null): ViewAnswer {
    if (this.#state.kind === 'waiting') this.#lookWaiting(this.#state, index);
    const state = this.#state;
    switch (state.kind) {
      case 'waiting':
        return { kind: 'waiting', applied: state.replica.applied };
      case 'reading': {
        const { view, keys, bytes } = this.#held!;
        return { kind: 'reading', index: view.index, keys, bytes, read: Math.min(bytes, view.bytesRead) };
      }
      case 'released':
        return { kind: 'unknown' };
      default:
        return state;
    }
  }

  /** The mark may have passed by a state that nobody waits at any more, or before anybody did. */
  #lookWaiting(state: Extract<State, { kind: 'waiting' }>, index: number | null): void {
    const lost = this.#lost(state);
    if (lost !== null) {
      state.stop();
      this.#wait();
    }
    if (this.#state.kind !== 'waiting') return;
    const { replica, machine, stop } = this.#state;
    if (index === null || replica.applied < index || !machine.expectsMark(this.token)) return;
    stop();
    this.#fail(`it was past the mark before it could look: ${lost ?? 'it was away, or has just started'}`);
  }

  slots(block: number): ViewAnswer {
    return this.#held === null || this.#state.kind !== 'read'
      ? { kind: 'unknown' }
      : { kind: 'slots', slots: [...this.#held.view.slotsOf(block)] };
  }

  list(slots: SlotRanges): ViewAnswer {
    const held = this.#held;
    if (held !== null && this.#state.kind === 'read') {
      this.#state = { kind: 'listing' };
      this.#work(
        held,
        (pace) => held.view.list(slots, pace),
        (listing) => ({ kind: 'listed', listing }),
      );
    }
    return this.look(null);
  }

  #fail(detail: string): void {
    this.#letGo();
    this.#state = { kind: 'failed', detail };
  }

  /** Ends what is under way; the space that the view held may be given back. */
  end(why: string): void {
    if (this.#state.kind === 'waiting') this.#state.stop();
    if (this.#state.kind !== 'failed') this.#fail(why);
  }

  release(): void {
    this.end('released');
    this.#state = { kind: 'released' };
  }

  #letGo(): void {
    const held = this.#held;
    this.#held = null;
    void held?.view.close().catch(() => undefined);
  }
}
