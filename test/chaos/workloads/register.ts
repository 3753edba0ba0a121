/** Registers: puts, gets and deletes, with and without conditions, some of them without an idempotency key. */
import { judgeHistory } from '../../checker/judge-history.js';
import type { SimRandom } from '../../sim/fakes/random.js';
import { Clients } from './clients.js';
import type { Guard, RecordingClient } from './recording-client.js';
import type { Workload, WorkloadContext, WorkloadRun } from './workload.js';

const KEYS = 12;
const CLIENTS = 4;

class RegisterRun implements WorkloadRun {
  readonly #clients: Clients;
  readonly #keys: readonly string[];
  /** The revision that a client saw last, by client and key. */
  readonly #seen = new Map<string, string>();
  #number = 0;

  constructor(context: WorkloadContext) {
    this.#clients = new Clients('register', CLIENTS, context);
    // Some share a slot by their tag, most do not.
    this.#keys = Array.from({ length: KEYS }, (_, i) => `${context.prefix}register/${i < 3 ? '{tag}' : ''}${i}`);
  }

  get history() {
    return this.#clients.history;
  }

  async prepare(): Promise<void> {}

  run(): Promise<void> {
    return this.#clients.loop((client, random) => this.#step(client, random));
  }

  async #step(client: RecordingClient, random: SimRandom): Promise<void> {
    const key = random.pick(this.#keys);
    const place = `${client.name} ${key}`;
    const seen = this.#seen.get(place);
    const guard: Guard = random.chance(0.3) ? { idempotencyKey: false } : {};
    const value = `${client.name}:${this.#number++}`;
    const dice = random.next();
    const held: Guard = seen === undefined ? guard : { ...guard, ifMatch: seen };
    const attempt = await (dice < 0.4
      ? client.get(key)
      : dice < 0.65
        ? client.put(key, value, guard)
        : dice < 0.85
          ? client.put(key, value, held)
          : dice < 0.92
            ? client.put(key, value, { ...guard, ifNoneMatch: '*' })
            : client.delete(key, dice < 0.96 ? held : guard));
    if (attempt.kind !== 'answer' || !('revision' in attempt.answer)) return;
    const { revision } = attempt.answer;
    if (typeof revision === 'number') this.#seen.set(place, String(revision));
  }

  finish(): Promise<void> {
    return this.#clients.readAll(this.#keys);
  }

  judge() {
    const complaint = judgeHistory(this.history.operations());
    return [...this.#clients.strange(), ...(complaint === null ? [] : [this.#clients.finding(complaint)])];
  }

  close(): void {
    this.#clients.close();
  }
}

export const REGISTER: Workload = {
  name: 'register',
  describe: 'PUT, GET and DELETE with If-Match and If-None-Match; every key linearizable, revisions only grow',
  start: (context) => new RegisterRun(context),
};
