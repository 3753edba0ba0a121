/**
 * One replica's state machine on a simulated engine, driven by hand: entries in, results out, rounds where the test says.
 */

import { encodeCommand, type KvCommand, type KvResult, KvStateMachine } from '../../../../src/kv/store/index.js';
import { Table } from '../../../../src/kv/store/key-layout.js';
import { SumsTable } from '../../../../src/kv/store/sums-table.js';
import {
  type EngineOp,
  type EngineSnapshot,
  EntryKind,
  index,
  type StateEngine,
  term,
  type ViewableRows,
} from '../../../../src/raft/index.js';
import { SLOT_COUNT } from '../../../../src/shardctrl/index.js';
import { SimEngines } from '../../../sim/fakes/sim-engine.js';

/** Rows of the open round over an engine, as the runtime keeps them. */
class RoundRows implements ViewableRows {
  readonly #engine: StateEngine;
  readonly #open = new Map<string, EngineOp>();
  #views: ((snapshot: EngineSnapshot | null) => void)[] = [];

  constructor(engine: StateEngine) {
    this.#engine = engine;
  }

  get(key: Uint8Array): Buffer | undefined {
    const op = this.#open.get(Buffer.from(key).toString('latin1'));
    if (op === undefined) return this.#engine.get(key);
    return op.value === null ? undefined : Buffer.from(op.value);
  }

  peek(key: Uint8Array): Buffer | undefined {
    return this.get(key);
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#open.set(Buffer.from(key).toString('latin1'), { key, value });
  }

  delete(key: Uint8Array): void {
    this.#open.set(Buffer.from(key).toString('latin1'), { key, value: null });
  }

  view(taken: (snapshot: EngineSnapshot | null) => void): void {
    this.#views.push(taken);
  }

  async write(): Promise<void> {
    const ops = [...this.#open.values()];
    this.#open.clear();
    await this.#engine.write(ops);
    for (const taken of this.#views.splice(0)) taken(this.#engine.snapshot());
  }
}

const ENGINE = 'shard';

export class Machine {
  readonly engines = new SimEngines();
  machine = new KvStateMachine();
  engine!: StateEngine;
  #rows!: RoundRows;
  #index = 0;
  /** The stamp of the next entry. */
  now_ms = 1_000_000;

  static async create(): Promise<Machine> {
    const made = new Machine();
    await made.#open();
    return made;
  }

  async #open(): Promise<void> {
    this.engine = await this.engines.open(ENGINE);
    this.#rows = new RoundRows(this.engine);
    this.machine = new KvStateMachine();
    await this.machine.open(this.engine, this.#rows);
  }

  get index(): number {
    return this.#index;
  }

  applyBytes(data: Uint8Array): KvResult {
    this.#index++;
    return this.machine.apply({ term: term(1), index: index(this.#index), kind: EntryKind.Command, data });
  }

  /** Applies, without closing the round. */
  apply(command: KvCommand): KvResult {
    return this.applyBytes(encodeCommand(command, this.now_ms));
  }

  /** Closes the round: its rows are in the engine afterwards. */
  async endRound(): Promise<void> {
    this.machine.endRound();
    await this.#rows.write();
  }

  /** One command, one round. */
  async run(command: KvCommand): Promise<KvResult> {
    const result = this.apply(command);
    await this.endRound();
    return result;
  }

  /** The machine anew, from its rows. */
  async reopen(): Promise<void> {
    await this.engine.close();
    await this.#open();
  }

  /**
   * All rows, in hexadecimal. How the sums of slots lie on blocks and journal depends on the rounds: those are one line a slot,
   * as they would be read at open.
   */
  async dump(): Promise<string[]> {
    const rows = await this.engine.range({ gte: Buffer.from([0]), lt: Buffer.from([0xff]) });
    const blocks = rows.filter(({ key }) => key[0] === Table.Sums);
    const journal = rows.filter(({ key }) => key[0] === Table.SumsJournal);
    const others = rows.filter((row) => !blocks.includes(row) && !journal.includes(row));
    const sums = new SumsTable();
    sums.open(blocks, journal);
    const lines = others.map(({ key, value }) => `${key.toString('hex')}=${value.toString('hex')}`);
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (sums.isEmpty(slot)) continue;
      const digest = [...sums.digest.subarray(slot * 4, slot * 4 + 4)];
      lines.push(`sums ${slot}=${[sums.keys[slot], sums.bytes[slot], sums.idempotency[slot], ...digest].join(' ')}`);
    }
    return lines;
  }
}
