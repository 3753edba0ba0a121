/**
 * Accounts between which money is moved; nobody may ever see money appear or vanish. Meant for POST /v1/txn, which the product answers
 * with 501 today: until then all accounts are the value of one key and a transfer is a write under If-Match, which asks the
 * same of the store within one slot, but only of a single key.
 */
import { judgeHistory } from '../../checker/judge-history.js';
import type { SimRandom } from '../../sim/fakes/random.js';
import { ACCOUNTS, judgeBank, OPENING_BALANCE } from '../oracles/bank-oracle.js';
import { Clients } from './clients.js';
import type { RecordingClient } from './recording-client.js';
import type { Workload, WorkloadContext, WorkloadRun } from './workload.js';

const CLIENTS = 2;

class BankRun implements WorkloadRun {
  readonly #clients: Clients;
  readonly #key: string;
  #number = 0;

  constructor(context: WorkloadContext) {
    this.#clients = new Clients('bank', CLIENTS, context);
    this.#key = `${context.prefix}bank`;
  }

  get history() {
    return this.#clients.history;
  }

  async prepare(): Promise<void> {
    const balances = new Array<number>(ACCOUNTS).fill(OPENING_BALANCE);
    const opened = await this.#clients.first.put(this.#key, JSON.stringify({ transfer: 'opening', balances }));
    if (opened.kind !== 'answer') throw new Error(`${this.#key} cannot be written: ${opened.reason}`);
  }

  run(): Promise<void> {
    return this.#clients.loop((client, random) => this.#transfer(client, random));
  }

  async #transfer(client: RecordingClient, random: SimRandom): Promise<void> {
    const read = await client.get(this.#key);
    if (read.kind !== 'answer' || read.answer.kind !== 'found') return;
    const { balances } = JSON.parse(read.answer.value) as { balances: number[] };
    const [from = 0, to = 1] = random.shuffle(balances.map((_, i) => i));
    const amount = random.int(0, balances[from]!);
    balances[from]! -= amount;
    balances[to]! += amount;
    // The name makes every value one that only one write can have written.
    const value = JSON.stringify({ transfer: `${client.name}:${this.#number++}`, balances });
    await client.put(this.#key, value, { ifMatch: String(read.answer.revision) });
  }

  finish(): Promise<void> {
    return this.#clients.readAll([this.#key]);
  }

  judge() {
    const operations = this.history.operations();
    const complaint = judgeHistory(operations);
    const complaints = [...judgeBank(operations), ...(complaint === null ? [] : [complaint])];
    return [...this.#clients.strange(), ...complaints.map((message) => this.#clients.finding(message))];
  }

  close(): void {
    this.#clients.close();
  }
}

export const BANK: Workload = {
  name: 'bank',
  describe:
    'transfers between accounts held in one key, under If-Match (POST /v1/txn is not implemented yet); the sum stays',
  start: (context) => new BankRun(context),
};
