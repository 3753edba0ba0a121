/**
 * The views that this node takes for verifications, one at a time, whoever asks. A verification that does not ask any more has
 * ended, or its node has: its view is let go.
 */
import type { Clock, ReplicaHost, Timer } from '../../../raft/index.js';
import { handleJson } from '../json-rpc.js';
import { Method, type Rpc } from '../rpc.js';
import { ViewJob } from './view-job.js';
import { type PrepareRequest, type ViewAnswer, type ViewCall, viewRequestSchema } from './view-schemas.js';

/** So long nobody may ask for a view before it is let go. */
const SILENCE_MS_MAX = 30_000;
const SWEEP_MS = 1_000;

export interface ViewServiceOptions {
  readonly clock: Clock;
  readonly host: Pick<ReplicaHost, 'get' | 'damaged'>;
  readonly rpc: Rpc;
  /** Resolves when this node has nothing to do that must not wait. */
  readonly undisturbed: () => Promise<void>;
  readonly failed: (error: unknown) => void;
}

const UNKNOWN: ViewAnswer = { kind: 'unknown' };

export class ViewService {
  readonly #options: ViewServiceOptions;
  #job: ViewJob | null = null;
  #heard_ms = 0;
  #sweeper: Timer | null = null;

  constructor(options: ViewServiceOptions) {
    this.#options = options;
    handleJson(options.rpc, Method.View, viewRequestSchema, async (call) => this.answer(call), options.failed);
  }

  answer(call: ViewCall): ViewAnswer {
    if (call.op === 'prepare') return this.#prepare(call);
    const job = this.#job;
    if (job === null || job.token !== call.token) return UNKNOWN;
    this.#heard_ms = this.#options.clock.monotonic_ms();
    switch (call.op) {
      case 'look':
        return job.look(call.index);
      case 'keep':
        return { kind: 'ready' };
      case 'slots':
        return job.slots(call.block);
      case 'list':
        return job.list(call.slots);
      case 'release':
        this.#release();
        return UNKNOWN;
    }
  }

  #prepare(request: PrepareRequest): ViewAnswer {
    const job = this.#job;
    if (job !== null && job.token !== request.token) return { kind: 'busy', by: job.token };
    const { clock, host, undisturbed } = this.#options;
    this.#heard_ms = clock.monotonic_ms();
    this.#job = job ?? new ViewJob({ clock, host, undisturbed, request });
    this.#sweeper ??= clock.after(SWEEP_MS, () => this.#sweep());
    const now = this.#job.look(null);
    return now.kind === 'failed' ? now : { kind: 'ready' };
  }

  #sweep(): void {
    this.#sweeper = null;
    if (this.#job === null) return;
    const { clock } = this.#options;
    this.#job.letGoInTime();
    if (clock.monotonic_ms() - this.#heard_ms >= SILENCE_MS_MAX) this.#release();
    else this.#sweeper = clock.after(SWEEP_MS, () => this.#sweep());
  }

  /** Space of the shard is to be given back, which an open view would prevent. */
  giveWay(shard: number): void {
    if (this.#job?.shard === shard)
      this.#job.end('slots have moved away meanwhile, and their space had to be given back: verify again');
  }

  #release(): void {
    this.#job?.release();
    this.#job = null;
  }

  close(): void {
    this.#sweeper?.cancel();
    this.#release();
  }
}
