/**
 * Every command that a shard accepts or refuses is what the guards table says. The log of a group is one: whoever applies
 * an entry first is judged by the table (slot-reference.ts), whoever applies it later must answer the same. So nothing is
 * lost where a replica jumps over entries by a snapshot: another one has applied them.
 *
 * It listens in at the port of the state machine, by standing in front of `KvStateMachine`'s methods while a simulation
 * runs; the group is read from the name of the engine that the machine is opened on.
 *
 * Reads have no entry in the log: each is judged by where its slot stands in the replica that answers it (F51).
 */
import { type KvCommand, type KvResult, KvStateMachine, type LookupResult } from '../../../src/kv/store/index.js';
import type { Entry, StateEngine, ViewableRows } from '../../../src/raft/index.js';
import { SlotState, slotOfKey } from '../../../src/shardctrl/index.js';
import { type Counters, CountersGrow } from './counters-grow.js';
import { NOWHERE, type Place } from './guards-table.js';
import { nameOf } from './invariant.js';
import { commandOf, type MachineView, SlotReference } from './slot-reference.js';

interface Group {
  readonly number: number;
  readonly name: string;
  readonly reference: SlotReference;
  readonly counters: CountersGrow;
  readonly answers: Map<number, string>;
  /** The highest entry that anybody has applied. */
  index: number;
}

/** Is told of each command the first time it is applied anywhere, and says what is wrong, or null. */
export interface CommandInvariant {
  applied(command: KvCommand, answer: KvResult): string | null;
}

/** Is told of each command the first time it is applied anywhere, by which group. */
export type AppliedListener = (group: number, command: KvCommand, answer: KvResult) => void;

export class Verdicts {
  readonly #failed: (what: string) => void;
  readonly #invariants: readonly CommandInvariant[];
  readonly #groups = new Map<number, Group>();
  readonly #groupOf = new WeakMap<object, Group>();
  /** Entries judged by the table; for the test that it judges at all. */
  judged = 0;
  #onApplied: AppliedListener = () => {};

  constructor(failed: (what: string) => void, invariants: readonly CommandInvariant[] = []) {
    this.#failed = failed;
    this.#invariants = invariants;
  }

  /** Told while the command is being applied: whatever it does about it, it does later. */
  onApplied(listener: AppliedListener): void {
    this.#onApplied = listener;
  }

  /** Where a slot stands in a shard, by the commands in its log. */
  placeOf(group: number, slot: number): Place {
    return this.#groups.get(group)?.reference.placeOf(slot) ?? NOWHERE;
  }

  /** No slot is owned by the shard, moves, or waits to be purged. */
  isBlank(group: number): boolean {
    return this.#groups.get(group)?.reference.isBlank() ?? true;
  }

  /** Listens while `run` runs; one simulation at a time in a process. */
  async during<T>(run: () => Promise<T>): Promise<T> {
    const { open, apply, lookup } = KvStateMachine.prototype;
    const self = this;
    KvStateMachine.prototype.open = function (this: KvStateMachine, engine: StateEngine, rows: ViewableRows) {
      self.opened(this, (engine as StateEngine & { readonly name?: string }).name ?? '');
      return open.call(this, engine, rows);
    };
    KvStateMachine.prototype.apply = function (this: KvStateMachine, entry: Entry) {
      return self.applied(this, entry, () => apply.call(this, entry));
    };
    KvStateMachine.prototype.lookup = function (this: KvStateMachine, key: Uint8Array) {
      return self.read(this, key, lookup.call(this, key));
    };
    try {
      return await run();
    } finally {
      KvStateMachine.prototype.open = open;
      KvStateMachine.prototype.apply = apply;
      KvStateMachine.prototype.lookup = lookup;
    }
  }

  opened(machine: object, engine: string): void {
    const number = Number(/^g(\d+)-/.exec(engine)?.[1] ?? Number.NaN);
    if (Number.isNaN(number)) throw new Error(`engine ${JSON.stringify(engine)} belongs to no group`);
    const known = this.#groups.get(number);
    const name = nameOf(number);
    const group = known ?? {
      number,
      name,
      reference: new SlotReference(),
      counters: new CountersGrow(),
      answers: new Map(),
      index: 0,
    };
    this.#groups.set(number, group);
    this.#groupOf.set(machine, group);
  }

  applied(machine: MachineView & Counters, entry: Entry, apply: () => KvResult): KvResult {
    const group = this.#groupOf.get(machine);
    if (group === undefined) throw new Error('a machine applies that was never opened');
    return entry.index > group.index ? this.#first(group, machine, entry, apply) : this.#again(group, entry, apply);
  }

  read(
    machine: Pick<MachineView, 'stateOf'> & { readonly clock_ms: number },
    key: Uint8Array,
    answer: LookupResult,
  ): LookupResult {
    const slot = slotOfKey(key);
    const state = machine.stateOf(slot);
    const serves = state === SlotState.Own || state === SlotState.Exporting;
    if (serves === (answer.kind === 'not_serving'))
      this.#failed(`guards table: a read of slot ${slot}, which is in state ${state}, was answered ${answer.kind}`);
    const expires_ms = answer.kind === 'found' ? answer.record.expires_ms : 0;
    if (expires_ms !== 0 && expires_ms <= machine.clock_ms)
      this.#failed(`expiry: a key was read at ${machine.clock_ms} whose time had come at ${expires_ms}`);
    return answer;
  }

  #first(group: Group, machine: MachineView & Counters, entry: Entry, apply: () => KvResult): KvResult {
    const command = commandOf(entry.data);
    if (command === null) return apply();
    const before = group.reference.before(command, machine);
    const answer = apply();
    group.index = entry.index;
    this.judged++;
    if (isStep(entry)) group.answers.set(entry.index, JSON.stringify(answer));
    const wrong = group.reference.read(command, answer, before, machine);
    if (wrong !== null) this.#failed(`guards table: ${group.name} at index ${entry.index}: ${wrong}`);
    const fallen = group.counters.applied(command, answer, machine);
    if (fallen !== null) this.#failed(`counters: ${group.name} at index ${entry.index}: ${fallen}`);
    for (const invariant of this.#invariants) {
      const violated = invariant.applied(command, answer);
      if (violated !== null) this.#failed(`${violated} (${group.name} at index ${entry.index})`);
    }
    this.#onApplied(group.number, command, answer);
    return answer;
  }

  #again(group: Group, entry: Entry, apply: () => KvResult): KvResult {
    const answer = apply();
    if (!isStep(entry)) return answer;
    const before = group.answers.get(entry.index);
    const now = JSON.stringify(answer);
    if (before !== now)
      this.#failed(`guards table: ${group.name} at index ${entry.index}: answered ${now} here, ${before} elsewhere`);
    return answer;
  }
}

/** Commands on slots have kinds from 4 on (command-format.ts); all others are writes and expiries of keys. */
const isStep = (entry: Entry): boolean => (entry.data[1] ?? 0) >= 4;
