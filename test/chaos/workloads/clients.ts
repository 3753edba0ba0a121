/** What the clients of all workloads have in common: how many, how busy, how they end. */
import { HistoryRecorder } from '../../checker/history.js';
import type { SimRandom } from '../../sim/fakes/random.js';
import { pause } from '../pause.js';
import { RecordingClient } from './recording-client.js';
import type { Finding, WorkloadContext } from './workload.js';

/** So that the machine is busy but not drowned, and the checker has less to search. */
const THINK_MS = { least: 20, most: 80 } as const;
const FINAL_ATTEMPTS = 3;

export class Clients {
  readonly history: HistoryRecorder;
  readonly #workload: string;
  readonly #context: WorkloadContext;
  readonly #clients: RecordingClient[];

  constructor(workload: string, count: number, context: WorkloadContext) {
    this.#workload = workload;
    this.#context = context;
    this.history = new HistoryRecorder(context.now);
    // Every second one stays with one node; the first goes wherever it is served, since it also reads in the end.
    this.#clients = Array.from({ length: count }, (_, i) => {
      const endpoints = context.random.fork(`endpoints-${i}`).shuffle(context.endpoints);
      return new RecordingClient(`${workload}${i + 1}`, endpoints, i % 2 === 1, this.history);
    });
  }

  get first(): RecordingClient {
    return this.#clients[0]!;
  }

  /** Each client does `step` again and again, with a random stream of its own. */
  async loop(step: (client: RecordingClient, random: SimRandom) => Promise<void>): Promise<void> {
    const { signal, random } = this.#context;
    await Promise.all(
      this.#clients.map(async (client) => {
        const own = random.fork(client.name);
        while (!signal.aborted) {
          await step(client, own);
          await pause(own.between(THINK_MS.least, THINK_MS.most), signal);
        }
      }),
    );
  }

  /** One recorded read of each key; throws where the calm cluster does not answer. */
  async readAll(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      for (let attempt = 1; ; attempt++) {
        const read = await this.first.get(key);
        if (read.kind === 'answer') break;
        if (attempt === FINAL_ATTEMPTS) throw new Error(`${key} cannot be read in the end: ${read.reason}`);
      }
    }
  }

  finding(message: string): Finding {
    return { workload: this.#workload, message };
  }

  /** Answers that no fault excuses. */
  strange(): Finding[] {
    return this.#clients.flatMap((client) => client.strange.map((message) => this.finding(message)));
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }
}
