/**
 * Clients that append to lists, each an element at a time, by reading a list and writing it back if it is still the same. The
 * store is right if each list shows every acknowledged append exactly once, those of one client in its order, and if all that was
 * seen fits one order of all appends.
 */
import { OutcomeUnknown, type QuorateClient, QuorateError } from '../../src/kv/client/index.js';
import { appendModel } from '../checker/append-model.js';
import { HistoryRecorder } from '../checker/history.js';
import { checkLinearizable } from '../checker/wgl.js';
import { clientOf, type SimCluster } from './scenario-world.js';

interface Client {
  readonly name: string;
  readonly client: QuorateClient;
}

export interface Appended {
  /** Appends by what became of them. `refused`: certainly not applied. */
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
  /** What is wrong with the lists, in words; none where all is well. */
  readonly complaints: readonly string[];
}

export class Appenders {
  readonly #cluster: SimCluster;
  readonly #lists: readonly string[];
  readonly #history: HistoryRecorder;
  readonly #clients: readonly Client[];
  readonly #loops: Promise<unknown>;
  /** By list and client, the elements that were acknowledged, in order. */
  readonly #acknowledged = new Map<string, string[]>();
  readonly #counts = { acknowledged: 0, refused: 0, unknown: 0 };
  #running = true;

  private constructor(cluster: SimCluster, lists: readonly string[], clients: number) {
    this.#cluster = cluster;
    this.#lists = lists;
    this.#history = new HistoryRecorder(() => cluster.scheduler.now_ms);
    this.#clients = Array.from({ length: clients }, (_, i) => {
      const name = `c${i + 1}`;
      // Half of them know the map and go straight to leaders; the others have their requests passed on.
      return { name, client: clientOf(cluster, name, { direct: i % 2 === 0 }) };
    });
    this.#loops = Promise.all(this.#clients.map((client, i) => this.#loop(client, i)));
  }

  static start(cluster: SimCluster, lists: readonly string[], clients: number): Appenders {
    return new Appenders(cluster, lists, clients);
  }

  get acknowledged(): number {
    return this.#counts.acknowledged;
  }

  async #loop(client: Client, first: number): Promise<void> {
    for (let n = 0; this.#running; n++) {
      await this.#append(client, this.#lists[(first + n) % this.#lists.length]!, `${client.name}.${n}`);
      await new Promise<void>((resume) => this.#cluster.scheduler.after(15, resume));
    }
  }

  async #append({ name, client }: Client, key: string, element: string): Promise<void> {
    const id = this.#history.invoke({ client: name, kind: 'append', key, value: element });
    try {
      const value = await appendOnce(client, key, element);
      this.#history.ok(id, { kind: 'stored', value });
      this.#counts.acknowledged++;
      const place = `${key} ${name}`;
      this.#acknowledged.set(place, [...(this.#acknowledged.get(place) ?? []), element]);
    } catch (error) {
      if (!(error instanceof QuorateError)) throw error;
      const open = error instanceof OutcomeUnknown;
      this.#counts[open ? 'unknown' : 'refused']++;
      if (open) this.#history.unknown(id, error.message);
      else this.#history.fail(id, error.message);
    }
  }

  /** Lets the appends under way come to their end, and judges the lists. */
  async stop(): Promise<Appended> {
    this.#running = false;
    await this.#cluster.settle(this.#loops, 120_000);
    const complaints: string[] = [];
    for (const key of this.#lists) {
      const id = this.#history.invoke({ client: 'reader', kind: 'get', key });
      const found = await this.#cluster.settle(this.#clients[0]!.client.get(key));
      const value = found === null ? '[]' : String(found.value);
      this.#history.ok(id, { kind: 'found', value });
      complaints.push(...this.#complaintsOf(key, JSON.parse(value) as string[]));
    }
    for (const { client } of this.#clients) client.close();
    const verdict = checkLinearizable(appendModel(), this.#history.operations());
    if (!verdict.ok) complaints.push(verdict.kind === 'violation' ? verdict.violation.message : verdict.message);
    return { ...this.#counts, complaints };
  }

  #complaintsOf(key: string, list: readonly string[]): string[] {
    const complaints: string[] = [];
    if (new Set(list).size < list.length) complaints.push(`${key} shows an element twice: ${list}`);
    for (const { name } of this.#clients) {
      const acknowledged = this.#acknowledged.get(`${key} ${name}`) ?? [];
      const shown = list.filter((element) => acknowledged.includes(element));
      if (String(shown) !== String(acknowledged)) {
        complaints.push(`${key} shows of ${name}'s appends ${shown}, acknowledged were ${acknowledged}`);
      }
    }
    return complaints;
  }
}

/** The list as it was written. Begins again where another client came first. */
async function appendOnce(client: QuorateClient, key: string, element: string): Promise<string> {
  for (;;) {
    const found = await client.get(key);
    const list = found === null ? [] : (JSON.parse(String(found.value)) as string[]);
    const value = JSON.stringify([...list, element]);
    try {
      await client.put(key, value, found === null ? { ifNoneMatch: '*' } : { ifMatch: found.revision });
      return value;
    } catch (error) {
      if (!(error instanceof QuorateError) || error.code !== 'precondition_failed') throw error;
    }
  }
}
