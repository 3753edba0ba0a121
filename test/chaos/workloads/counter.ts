/**
 * A counter that is raised by reading it and writing back one more under If-Match and an idempotency key. A write with an unknown
 * outcome is sent again under its key until the outcome is known, and some that were answered are sent again too: each must
 * get its first answer. Every write raises the key's version by one, so version and value stay equal exactly if every
 * increment took effect exactly once (F50).
 */
import { counterModel } from '../../checker/append-model.js';
import { checkLinearizable } from '../../checker/wgl.js';
import type { SimRandom } from '../../sim/fakes/random.js';
import { judgeCounter, type RepeatedWrite } from '../oracles/counter-oracle.js';
import { pause } from '../pause.js';
import { Clients } from './clients.js';
import type { Attempt, Guard, RecordingClient } from './recording-client.js';
import type { Workload, WorkloadContext, WorkloadRun } from './workload.js';

const COUNTERS = 3;
const CLIENTS = 3;
/** Idempotency records live ten minutes; long before that the outcome is known, or the run is over. */
const RESENDS_MAX = 30;

class CounterRun implements WorkloadRun {
  readonly #clients: Clients;
  readonly #context: WorkloadContext;
  readonly #keys: readonly string[];
  readonly #repeated: RepeatedWrite[] = [];
  #number = 0;

  constructor(context: WorkloadContext) {
    this.#context = context;
    this.#clients = new Clients('counter', CLIENTS, context);
    this.#keys = Array.from({ length: COUNTERS }, (_, i) => `${context.prefix}counter/${i}`);
  }

  get history() {
    return this.#clients.history;
  }

  async prepare(): Promise<void> {}

  run(): Promise<void> {
    return this.#clients.loop(async (client, random) => {
      const key = random.pick(this.#keys);
      if (random.chance(0.25)) await client.get(key);
      else await client.recorded({ kind: 'add', key, value: '1' }, () => this.#add(client, key, random));
    });
  }

  async #add(client: RecordingClient, key: string, random: SimRandom): Promise<Attempt> {
    const read = await client.read(key);
    if (read.kind !== 'answer') return { kind: 'failed', reason: read.reason };
    const found = read.answer.kind === 'found' ? read.answer : null;
    const value = String(Number(found?.value ?? 0) + 1);
    const idempotencyKey = `${client.name}-${this.#number++}`;
    const condition = found === null ? { ifNoneMatch: '*' as const } : { ifMatch: String(found.revision) };
    const guard: Guard = { ...condition, idempotencyKey };
    const written = await this.#untilKnown(client, key, value, guard);
    if (written.kind !== 'answer') return written;
    if (random.chance(0.15)) await this.#again(client, key, value, guard, written);
    if (written.answer.kind === 'precondition_failed') return { kind: 'failed', reason: 'somebody else was faster' };
    return { kind: 'answer', answer: { kind: 'stored', value } };
  }

  async #untilKnown(client: RecordingClient, key: string, value: string, guard: Guard): Promise<Attempt> {
    let attempt = await client.write(key, value, guard);
    for (let sent = 1; attempt.kind === 'unknown' && sent < RESENDS_MAX; sent++) {
      await pause(200, this.#context.signal);
      const next = await client.write(key, value, guard);
      // "Certainly not applied" is said of the last attempt only.
      if (next.kind === 'answer') attempt = next;
    }
    return attempt;
  }

  async #again(client: RecordingClient, key: string, value: string, guard: Guard, first: Attempt): Promise<void> {
    const second = await client.write(key, value, guard);
    if (first.kind !== 'answer' || second.kind !== 'answer') return;
    this.#repeated.push({ key, idempotencyKey: String(guard.idempotencyKey), answers: [first.answer, second.answer] });
  }

  finish(): Promise<void> {
    return this.#clients.readAll(this.#keys);
  }

  judge() {
    const operations = this.history.operations();
    const result = checkLinearizable(counterModel, operations);
    const complaints = [...judgeCounter(operations, this.#repeated)];
    if (!result.ok) complaints.push(result.kind === 'violation' ? result.violation.message : result.message);
    return [...this.#clients.strange(), ...complaints.map((message) => this.#clients.finding(message))];
  }

  close(): void {
    this.#clients.close();
  }
}

export const COUNTER: Workload = {
  name: 'counter',
  describe: 'increments under an idempotency key, sent again on purpose; each counts exactly once',
  start: (context) => new CounterRun(context),
};
