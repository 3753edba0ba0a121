/**
 * Lists that are appended to by reading, adding and writing back under If-Match. Every read shows the order of all appends
 * before it, so the checker sees any that is lost, doubled or out of place.
 */
import { appendModel } from '../../checker/append-model.js';
import { checkLinearizable } from '../../checker/wgl.js';
import type { SimRandom } from '../../sim/fakes/random.js';
import { Clients } from './clients.js';
import type { Attempt, RecordingClient } from './recording-client.js';
import type { Workload, WorkloadContext, WorkloadRun } from './workload.js';

const LISTS = 4;
const CLIENTS = 3;
/** A list is left for a new one then, so that values stay small. */
const ELEMENTS_MAX = 150;
const ROUNDS_MAX = 8;

class AppendRun implements WorkloadRun {
  readonly #clients: Clients;
  readonly #prefix: string;
  readonly #generation: number[] = new Array(LISTS).fill(0);
  #number = 0;

  constructor(context: WorkloadContext) {
    this.#clients = new Clients('append', CLIENTS, context);
    this.#prefix = `${context.prefix}append/`;
  }

  get history() {
    return this.#clients.history;
  }

  async prepare(): Promise<void> {}

  run(): Promise<void> {
    return this.#clients.loop(async (client, random) => {
      const list = random.int(0, LISTS - 1);
      const key = this.#keyOf(list);
      if (random.chance(0.3)) await client.get(key);
      else await this.#append(client, list, key, random);
    });
  }

  #keyOf(list: number): string {
    return `${this.#prefix}${list}/${this.#generation[list]}`;
  }

  async #append(client: RecordingClient, list: number, key: string, random: SimRandom): Promise<void> {
    const element = `${client.name}:${this.#number++}`;
    await client.recorded({ kind: 'append', key, value: element }, async () => {
      for (let round = 0; round < ROUNDS_MAX; round++) {
        const attempt = await this.#round(client, list, key, element, random);
        if (attempt !== null) return attempt;
      }
      return { kind: 'failed', reason: 'others were faster each time' };
    });
  }

  /** null: somebody else wrote in between. */
  async #round(
    client: RecordingClient,
    list: number,
    key: string,
    element: string,
    random: SimRandom,
  ): Promise<Attempt | null> {
    const read = await client.read(key);
    // Nothing has been written yet: whatever became of the read, the append has not happened.
    if (read.kind !== 'answer') return { kind: 'failed', reason: read.reason };
    const found = read.answer.kind === 'found' ? read.answer : null;
    const elements = [...(found === null ? [] : (JSON.parse(found.value) as string[])), element];
    const guard = found === null ? { ifNoneMatch: '*' as const } : { ifMatch: String(found.revision) };
    // Under a revision a write may be sent again without an idempotency key, too; both ways are to be tried.
    const keyed = random.chance(0.5) ? {} : { idempotencyKey: false as const };
    const value = JSON.stringify(elements);
    const written = await client.write(key, value, { ...guard, ...keyed });
    if (written.kind !== 'answer') return written;
    if (written.answer.kind === 'precondition_failed') return null;
    if (elements.length >= ELEMENTS_MAX && this.#keyOf(list) === key) this.#generation[list]!++;
    return { kind: 'answer', answer: { kind: 'stored', value } };
  }

  finish(): Promise<void> {
    const keys = new Set(this.history.operations().map(({ key }) => key));
    return this.#clients.readAll([...keys]);
  }

  judge() {
    const result = checkLinearizable(appendModel(), this.history.operations());
    if (result.ok) return this.#clients.strange();
    const message = result.kind === 'violation' ? result.violation.message : result.message;
    return [...this.#clients.strange(), this.#clients.finding(message)];
  }

  close(): void {
    this.#clients.close();
  }
}

export const APPEND: Workload = {
  name: 'append',
  describe: 'lists, appended to by read-modify-write under If-Match; no append lost, doubled or out of order',
  start: (context) => new AppendRun(context),
};
