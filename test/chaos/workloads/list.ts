/**
 * Lists with a cursor while other keys between the listed ones come and go: a key that is there throughout appears exactly
 * once, in byte order, with its value, also across reshards and lost nodes (F65).
 */
import { QuorateError } from '../../../src/kv/client/index.js';
import { judgeHistory } from '../../checker/judge-history.js';
import type { SimRandom } from '../../sim/fakes/random.js';
import { judgeScans, type Scan } from '../oracles/list-oracle.js';
import { Clients } from './clients.js';
import type { RecordingClient } from './recording-client.js';
import type { Workload, WorkloadContext, WorkloadRun } from './workload.js';

const FIXED = 80;
const PASSING = 40;
const CLIENTS = 3;

class ListRun implements WorkloadRun {
  readonly #clients: Clients;
  readonly #context: WorkloadContext;
  readonly #prefix: string;
  readonly #fixed: readonly string[];
  readonly #scans: Scan[] = [];

  constructor(context: WorkloadContext) {
    this.#context = context;
    this.#clients = new Clients('list', CLIENTS, context);
    this.#prefix = `${context.prefix}list/`;
    this.#fixed = Array.from({ length: FIXED }, (_, i) => `${this.#prefix}${String(i).padStart(3, '0')}`);
  }

  get history() {
    return this.#clients.history;
  }

  async prepare(): Promise<void> {
    for (const key of this.#fixed) {
      const stored = await this.#clients.first.put(key, key);
      if (stored.kind !== 'answer') throw new Error(`${key} cannot be written: ${stored.reason}`);
    }
  }

  run(): Promise<void> {
    return this.#clients.loop(async (client, random) => {
      if (random.chance(0.3)) await this.#scan(client, random);
      else await this.#disturb(client, random);
    });
  }

  /** A key between two fixed ones is written or removed. */
  async #disturb(client: RecordingClient, random: SimRandom): Promise<void> {
    const key = `${random.pick(this.#fixed)}-${random.int(0, PASSING - 1)}`;
    if (random.chance(0.5)) await client.put(key, 'passing');
    else await client.delete(key);
  }

  async #scan(client: RecordingClient, random: SimRandom): Promise<void> {
    const { now } = this.#context;
    const call = now();
    const limit = random.int(5, 60);
    const items: { key: string; value: string }[] = [];
    let outcome: Scan['outcome'] = 'listed';
    try {
      for await (const { key, value } of client.plain.list({ prefix: this.#prefix, limit })) {
        items.push({ key: String(key), value: String(value) });
      }
    } catch (error) {
      if (!(error instanceof QuorateError)) throw error;
      outcome = 'failed';
    }
    this.#scans.push({ client: client.name, prefix: this.#prefix, limit, items, call, return: now(), outcome });
  }

  async finish(): Promise<void> {
    await this.#scan(this.#clients.first, this.#context.random.fork('last'));
    if (this.#scans.at(-1)?.outcome !== 'listed') throw new Error('the calm cluster cannot be listed');
  }

  judge() {
    const keyed = judgeHistory(this.history.operations());
    const listed = judgeScans(this.#scans, new Map(this.#fixed.map((key) => [key, key])));
    const complaints = keyed === null ? listed : [...listed, keyed];
    return [...this.#clients.strange(), ...complaints.map((message) => this.#clients.finding(message))];
  }

  extraLines() {
    return this.#scans.map(({ client, prefix, limit, items, call, return: end, outcome }) => ({
      client,
      op: 'list',
      key: prefix,
      value: items.map(({ key }) => key.slice(prefix.length)),
      limit,
      call,
      return: end,
      outcome,
    }));
  }

  close(): void {
    this.#clients.close();
  }
}

export const LIST: Workload = {
  name: 'list',
  describe: 'lists with a cursor while keys come and go; what is there throughout appears exactly once',
  start: (context) => new ListRun(context),
};
