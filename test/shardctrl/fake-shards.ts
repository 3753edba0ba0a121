/**
 * Shards as the guards table of resharding.md has them, in memory: what is replicated in a real shard is here one object
 * that is never lost. Every change is checked: at most one shard serves a slot, and who begins to serve knows every
 * acknowledged write.
 */
import type { GroupId } from '../../src/raft/index.js';
import {
  eachSlot,
  MoveOutcome,
  type SlotAnswer,
  type SlotCommand,
  type SlotRanges,
  SlotState,
  type SlotSums,
} from '../../src/shardctrl/index.js';

interface FakeRecord {
  readonly revision: number;
  readonly value: number;
}

/** The latest change of a key while its slot was exported. */
interface FakeNote {
  readonly order: number;
  readonly revision: number;
}

/** `record` null: removed. */
interface PageEntry {
  readonly revision: number;
  readonly record: FakeRecord | null;
}
export type FakePage = ReadonlyMap<number, Map<string, PageEntry>>;

/** Most of a shard's 16,384 slots stay empty all along, and cost no maps. */
class FakeSlot {
  state: SlotState = SlotState.None;
  move = 0;
  floor = 0;
  outcome: MoveOutcome = MoveOutcome.Open;
  round = 0;
  barred = 0;
  #records: Map<string, FakeRecord> | null = null;
  #notes: Map<string, FakeNote> | null = null;
  #tombstones: Map<string, number> | null = null;

  get isEmpty(): boolean {
    return this.#records === null || this.#records.size === 0;
  }

  get records(): Map<string, FakeRecord> {
    this.#records ??= new Map();
    return this.#records;
  }

  get notes(): Map<string, FakeNote> {
    this.#notes ??= new Map();
    return this.#notes;
  }

  /** Revisions of removals seen by an import. */
  get tombstones(): Map<string, number> {
    this.#tombstones ??= new Map();
    return this.#tombstones;
  }
}

/** One slot's word on a command, and what it would do. */
interface Verdict {
  readonly answer: SlotAnswer;
  readonly effect: ((slot: FakeSlot) => void) | null;
}

const yes = (answer: SlotAnswer, effect: ((slot: FakeSlot) => void) | null = null): Verdict => ({ answer, effect });
const OK: SlotAnswer = { kind: 'ok' };
const STALE: SlotAnswer = { kind: 'stale' };

export class FakeShard {
  readonly id: GroupId;
  readonly slots = new Map<number, FakeSlot>();
  revision = 0;
  index = 0;
  /** Number of the latest note. */
  newestNote = 0;

  constructor(id: GroupId) {
    this.id = id;
  }

  slot(number: number): FakeSlot {
    let slot = this.slots.get(number);
    if (slot === undefined) {
      slot = new FakeSlot();
      this.slots.set(number, slot);
    }
    return slot;
  }

  serves(number: number): boolean {
    const state = this.slots.get(number)?.state;
    return state === SlotState.Own || state === SlotState.Exporting;
  }

  sums(slots: SlotRanges): SlotSums {
    let [keys, digest] = [0, 0];
    for (const number of eachSlot(slots)) {
      for (const [key, record] of this.slots.get(number)?.records ?? []) {
        keys++;
        digest += hash(`${number}/${key}/${record.revision}/${record.value}`);
      }
    }
    return { keys, bytes: keys * 10, digest: digest.toString(16).padStart(32, '0'), idempotencyRecords: 0 };
  }
}

/** FNV-1a: sums of a few thousand stay exact. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

export class FakeShards {
  readonly all = new Map<GroupId, FakeShard>();
  /** What clients were told: slot → key → value. */
  readonly truth = new Map<number, Map<string, number>>();
  /** Every effect, in words: what a failing test shows. */
  readonly story: string[] = [];
  now_ms: () => number = () => 0;

  shard(id: GroupId): FakeShard {
    const shard = this.all.get(id);
    if (shard === undefined) throw new Error(`no shard s${id}`);
    return shard;
  }

  create(id: GroupId, slots: SlotRanges = []): void {
    const shard = new FakeShard(id);
    for (const number of eachSlot(slots)) shard.slot(number).state = SlotState.Own;
    this.all.set(id, shard);
  }

  /** A client's write; false: nobody serves the slot now. `value` null deletes. */
  write(number: number, key: string, value: number | null): boolean {
    const shard = [...this.all.values()].find((one) => one.serves(number));
    if (shard === undefined) return false;
    const slot = shard.slot(number);
    shard.revision++;
    if (slot.state === SlotState.Exporting) {
      slot.notes.set(key, { order: ++shard.newestNote, revision: shard.revision });
    }
    const known = this.truth.get(number) ?? new Map<string, number>();
    this.truth.set(number, known);
    if (value === null) {
      slot.records.delete(key);
      known.delete(key);
    } else {
      slot.records.set(key, { revision: shard.revision, value });
      known.set(key, value);
    }
    return true;
  }

  /** All slots of a command or none: those of one batch share their fate. */
  command(id: GroupId, command: SlotCommand): SlotAnswer {
    const shard = this.shard(id);
    shard.index++;
    const sums = command.kind === 'install' ? shard.sums(command.slots) : NO_RECEIPT;
    const verdicts = [...eachSlot(command.slots)].map((number) => ({
      number,
      ...this.#judge(shard, number, command, sums),
    }));
    const first = verdicts[0]!;
    const odd = verdicts.find((verdict) => verdict.answer.kind !== first.answer.kind);
    if (odd !== undefined) return odd.effect === null ? odd.answer : first.answer;
    const effects = verdicts.filter((verdict) => verdict.effect !== null);
    for (const { number, effect } of effects) effect!(shard.slot(number));
    if (effects.length > 0) {
      this.#tell(`s${id} ${command.kind} ${command.move} [${command.slots.join(' ')}]`);
      this.#check(command.slots);
    }
    if (first.answer.kind === 'frozen') {
      const receipt = {
        ...shard.sums(command.slots),
        revision: shard.revision,
        clock_ms: this.now_ms(),
        index: shard.index,
      };
      return { kind: 'frozen', receipt };
    }
    if (first.answer.kind === 'installed') {
      if (command.kind === 'install') shard.revision = Math.max(shard.revision, command.revision);
      return { kind: 'installed', index: shard.index, sums: shard.sums(command.slots) };
    }
    return first.answer;
  }

  #judge(shard: FakeShard, number: number, command: SlotCommand, sums: SlotSums): Verdict {
    const slot = shard.slot(number);
    const { state, move, floor, outcome } = slot;
    const m = command.move;
    const exporting = (state === SlotState.Exporting || state === SlotState.Frozen) && move === m;
    switch (command.kind) {
      case 'begin_export':
        if (exporting) return yes(OK);
        if (floor === m && outcome === MoveOutcome.Undone) return yes({ kind: 'undone' });
        if (m <= floor) return yes(STALE);
        if (state !== SlotState.Own) return yes({ kind: 'busy' });
        return yes(OK, (it) => {
          it.notes.clear();
          Object.assign(it, { state: SlotState.Exporting, move: m, floor: m, outcome: MoveOutcome.Open, round: 0 });
        });
      case 'freeze':
        if (!exporting) return yes(STALE);
        if (state === SlotState.Frozen && slot.round === command.round) return yes(FROZEN);
        if (command.round <= slot.round) return yes({ kind: 'round_over' });
        return yes(FROZEN, (it) => Object.assign(it, { state: SlotState.Frozen, round: command.round }));
      case 'install': {
        if (floor === m && outcome === MoveOutcome.Installed) return yes(INSTALLED);
        if (floor === m && outcome === MoveOutcome.Aborted) return yes({ kind: 'aborted' });
        if (state !== SlotState.Importing || move !== m) return yes(STALE);
        if (command.round <= slot.barred) return yes({ kind: 'round_over' });
        if (sums.digest !== command.digest) return yes({ kind: 'mismatch', sums });
        return yes(INSTALLED, (it) => Object.assign(it, { state: SlotState.Own, outcome: MoveOutcome.Installed }));
      }
      case 'abort_import':
        if (floor === m && outcome === MoveOutcome.Aborted) return yes({ kind: 'aborted' });
        if (floor === m && outcome === MoveOutcome.Installed) return yes(INSTALLED);
        if ((state === SlotState.Importing && move === m) || (state === SlotState.None && m > floor)) {
          return yes({ kind: 'aborted' }, (it) => {
            it.records.clear();
            it.tombstones.clear();
            Object.assign(it, { state: SlotState.None, move: 0, floor: m, outcome: MoveOutcome.Aborted });
          });
        }
        return yes(m < floor ? STALE : { kind: 'busy' });
      case 'unfreeze':
        if (exporting || (state === SlotState.Own && m > floor)) {
          return yes(OK, (it) =>
            Object.assign(it, { state: SlotState.Own, move: 0, floor: m, outcome: MoveOutcome.Undone }),
          );
        }
        if (floor === m && outcome === MoveOutcome.Undone) return yes(OK);
        return yes(m < floor ? { kind: 'ended' } : { kind: 'busy' });
      case 'delete':
        if (state === SlotState.Frozen && move === m) {
          return yes(OK, (it) => Object.assign(it, { state: SlotState.Purging, outcome: MoveOutcome.Given }));
        }
        if (floor === m && outcome === MoveOutcome.Given) return yes(OK);
        return yes(m < floor ? { kind: 'ended' } : STALE);
      case 'bar':
        if (floor === m && outcome === MoveOutcome.Installed) return yes(INSTALLED);
        if (floor === m && outcome === MoveOutcome.Aborted) return yes({ kind: 'aborted' });
        if (state !== SlotState.Importing || move !== m) return yes(STALE);
        return command.round > slot.barred ? yes(OK, (it) => Object.assign(it, { barred: command.round })) : yes(OK);
      case 'thaw':
        if (!exporting) return yes(STALE);
        if (state === SlotState.Frozen && slot.round === command.round) {
          return yes(THAWED, (it) => Object.assign(it, { state: SlotState.Exporting }));
        }
        return yes(command.round <= slot.round ? THAWED : STALE);
    }
  }

  /** What the source's leader would send, all or what was noted after `since`; null: it does not export these slots under this move. */
  page(from: GroupId, move: number, slots: SlotRanges, since: number | null): FakePage | null {
    const shard = this.shard(from);
    const page = new Map<number, Map<string, PageEntry>>();
    for (const number of eachSlot(slots)) {
      const slot = shard.slot(number);
      if (slot.move !== move || (slot.state !== SlotState.Frozen && slot.state !== SlotState.Exporting)) return null;
      const entries = new Map<string, PageEntry>();
      page.set(number, entries);
      if (since === null) {
        for (const [key, record] of slot.records) entries.set(key, { revision: record.revision, record });
        continue;
      }
      for (const [key, { order, revision }] of slot.notes) {
        if (order > since) entries.set(key, { revision, record: slot.records.get(key) ?? null });
      }
    }
    return page;
  }

  notedAfter(from: GroupId, slots: SlotRanges, note: number): number {
    const notes = [...eachSlot(slots)].flatMap((number) => [...this.shard(from).slot(number).notes.values()]);
    return notes.filter(({ order }) => order > note).length;
  }

  /** null: merged. */
  mergePage(to: GroupId, move: number, page: FakePage): SlotAnswer | null {
    const shard = this.shard(to);
    for (const number of page.keys()) {
      const slot = shard.slot(number);
      const joins = slot.state === SlotState.Importing && slot.move === move;
      const opens = slot.state === SlotState.None && slot.isEmpty && move > slot.floor;
      const isIn = slot.floor === move && slot.outcome === MoveOutcome.Installed;
      if (isIn) return null;
      if (joins || opens) continue;
      if (slot.floor === move && slot.outcome === MoveOutcome.Aborted) return { kind: 'aborted' };
      return move > slot.floor ? { kind: 'busy' } : STALE;
    }
    for (const [number, entries] of page) {
      const slot = shard.slot(number);
      if (slot.state === SlotState.None) {
        Object.assign(slot, { state: SlotState.Importing, move, floor: move, outcome: MoveOutcome.Open, barred: 0 });
        slot.tombstones.clear();
      }
      for (const [key, { revision, record }] of entries) {
        if (revision <= Math.max(slot.records.get(key)?.revision ?? 0, slot.tombstones.get(key) ?? 0)) continue;
        if (record !== null) slot.records.set(key, record);
        else {
          slot.records.delete(key);
          slot.tombstones.set(key, revision);
        }
      }
    }
    this.#tell(`s${to} page ${move}`);
    return null;
  }

  /** One step of the purge; true: nothing of these slots is left. */
  purge(id: GroupId, move: number, slots: SlotRanges): void {
    const shard = this.all.get(id);
    if (shard === undefined) return;
    for (const number of eachSlot(slots)) {
      const slot = shard.slot(number);
      if (slot.state !== SlotState.Purging || slot.move !== move) continue;
      slot.records.clear();
      Object.assign(slot, { state: SlotState.None, move: 0 });
    }
    this.#tell(`s${id} purged ${move}`);
  }

  isPurged(id: GroupId, slots: SlotRanges): boolean {
    const shard = this.shard(id);
    return [...eachSlot(slots)].every((number) => {
      const slot = shard.slot(number);
      return slot.state === SlotState.None && slot.isEmpty;
    });
  }

  #tell(what: string): void {
    this.story.push(`${this.now_ms()} ${what}`);
  }

  #check(slots: SlotRanges): void {
    for (const number of eachSlot(slots)) {
      const serving = [...this.all.values()].filter((shard) => shard.serves(number));
      if (serving.length > 1)
        this.#fail(`slot ${number} is served by ${serving.map((shard) => `s${shard.id}`).join(' and ')}`);
      if (serving.length === 1) this.checkTruth(serving[0]!, number);
      const holders = [...this.all.values()].filter((shard) => {
        const state = shard.slots.get(number)?.state;
        return state === SlotState.Frozen || shard.serves(number);
      });
      if (holders.length === 0) this.#fail(`nobody holds slot ${number} any more`);
    }
  }

  checkTruth(shard: FakeShard, number: number): void {
    const slot = shard.slots.get(number);
    const known = this.truth.get(number);
    if (known === undefined && slot?.isEmpty !== false) return;
    const records = slot?.records;
    for (const [key, value] of known ?? []) {
      if (records?.get(key)?.value !== value) this.#fail(`s${shard.id} lost ${key} of slot ${number}`);
    }
    if ((records?.size ?? 0) !== (known?.size ?? 0))
      this.#fail(`s${shard.id} has keys in slot ${number} that were deleted`);
  }

  #fail(what: string): never {
    throw new Error(`${what}; ${this.story.slice(-40).join('; ')}`);
  }
}

const NO_RECEIPT = { keys: 0, bytes: 0, digest: '', idempotencyRecords: 0, revision: 0, clock_ms: 0, index: 0 };
/** Filled in where they are answered. */
const FROZEN: SlotAnswer = { kind: 'frozen', receipt: NO_RECEIPT };
const THAWED: SlotAnswer = { kind: 'thawed' };
const INSTALLED: SlotAnswer = { kind: 'installed', index: 0, sums: NO_RECEIPT };
