/**
 * One shard as the guards table has it: reads every command of the shard's log once, in order, with what it was answered,
 * and says where the answer is not what the table says. It knows places only, no records: whether anything of a slot is
 * left, and what its digest is, it asks the machine.
 */
import { decodeCommand, isWrite, type KvCommand, type KvResult } from '../../../src/kv/store/index.js';
import { type SlotRanges, SlotState, slotOfKey, slotsOf } from '../../../src/shardctrl/index.js';
import {
  type Cell,
  cell,
  type GuardedKind,
  NOWHERE,
  type Place,
  type PlaceState,
  servesWrites,
} from './guards-table.js';

/** What is asked of a `KvStateMachine`. */
export interface MachineView {
  stateOf(slot: number): SlotState;
  moveOf(slot: number): number;
  floorOf(slot: number): number;
  slotStats(slots: SlotRanges): readonly { readonly slot: number }[];
  sums(slots: SlotRanges): { readonly digest: string };
}

/** The machine before a command, as far as the table needs it. */
export interface Before {
  readonly filled: ReadonlySet<number>;
  readonly digest: string | null;
}

type MoveCommand = Extract<KvCommand, { readonly kind: GuardedKind; readonly slots: SlotRanges }>;

export const STATES: Readonly<Record<PlaceState, SlotState>> = {
  none: SlotState.None,
  own: SlotState.Own,
  exporting: SlotState.Exporting,
  frozen: SlotState.Frozen,
  purging: SlotState.Purging,
  importing: SlotState.Importing,
};
const REFUSALS: ReadonlySet<string> = new Set(['stale', 'busy', 'round_over']);

export class SlotReference {
  readonly #places = new Map<number, Place>();
  /** What the last accepted Freeze and Install of a move were answered. */
  readonly #receipts = new Map<string, string>();
  #everOwned = false;

  placeOf(slot: number): Place {
    return this.#places.get(slot) ?? NOWHERE;
  }

  isBlank(): boolean {
    for (const { state } of this.#places.values()) if (state !== 'none') return false;
    return true;
  }

  /** To be asked before the command is applied; costs something for pages and installs only. */
  before(command: KvCommand, machine: MachineView): Before {
    if (isWrite(command) || !('move' in command)) return { filled: new Set(), digest: null };
    return {
      filled: new Set(command.kind === 'page' ? machine.slotStats(command.slots).map(({ slot }) => slot) : []),
      digest: command.kind === 'install' ? machine.sums(command.slots).digest : null,
    };
  }

  /** What is wrong, or null. `machine`: after the command. */
  read(command: KvCommand, answer: KvResult, before: Before, machine: MachineView): string | null {
    if (isWrite(command)) return this.#write(slotOfKey(command.key), answer);
    if (answer.kind === 'malformed' || command.kind === 'expire' || command.kind === 'mark') return null;
    const wrong =
      command.kind === 'init'
        ? this.#init(command.slots, answer)
        : command.kind === 'purge'
          ? null
          : this.#step(command, answer, before);
    if (wrong !== null) return `${describe(command)}: ${wrong}`;
    const slots = command.kind === 'purge' ? slotsOf(command.parts.map(({ slot }) => slot)) : command.slots;
    if (command.kind === 'purge' || command.kind === 'delete') this.#endPurge(slots, command.move, machine);
    const apart = this.#compare(slots, machine);
    return apart === null ? null : `after ${describe(command)} ${apart}`;
  }

  #write(slot: number, answer: KvResult): string | null {
    const serves = servesWrites(this.placeOf(slot));
    if (serves !== (answer.kind === 'not_serving')) return null;
    return `a write of slot ${slot}, which is ${this.placeOf(slot).state}, was answered ${answer.kind}`;
  }

  #init(slots: SlotRanges, answer: KvResult): string | null {
    const wanted = this.#everOwned ? 'own' : 'none';
    const places = [...each(slots)].map((slot) => this.placeOf(slot));
    const due = places.every(({ state, floor }) => state === wanted && floor === 0) ? 'ok' : 'stale';
    if (due !== answer.kind) return `answered ${answer.kind}, the table says ${due}`;
    if (due === 'ok') {
      this.#everOwned = true;
      const owned: Place = { ...NOWHERE, state: 'own' };
      for (const slot of each(slots)) this.#places.set(slot, owned);
    }
    return null;
  }

  #step(command: MoveCommand, answer: KvResult, before: Before): string | null {
    const round = 'round' in command ? command.round : 0;
    const cells: [slot: number, cell: Cell][] = [];
    for (const slot of each(command.slots)) {
      const purged = !before.filled.has(slot);
      cells.push([slot, cell(this.placeOf(slot), { kind: command.kind, move: command.move, round, purged })]);
    }
    const { answer: due, next } = cells[0]![1];
    if (cells.some(([, other]) => other.answer !== due || (other.next === null) !== (next === null))) {
      return REFUSALS.has(answer.kind) ? null : `slots out of step, answered ${answer.kind}: it must be refused`;
    }
    if (next !== null && command.kind === 'install' && command.digest !== before.digest) {
      return answer.kind === 'mismatch' ? null : `answered ${answer.kind}, but digests differ`;
    }
    if (due !== answer.kind) {
      const [slot] = cells[0]!;
      return `answered ${answer.kind}, the table says ${due} (slot ${slot} is at ${JSON.stringify(this.placeOf(slot))})`;
    }
    for (const [slot, { next: place }] of cells) if (place !== null) this.#places.set(slot, place);
    if (due === 'installed') this.#everOwned = true;
    return this.#receipt(command, answer, next !== null);
  }

  /** A repetition is told what the first was told. */
  #receipt(command: MoveCommand, answer: KvResult, first: boolean): string | null {
    if (answer.kind !== 'frozen' && answer.kind !== 'installed') return null;
    const name = `${answer.kind} ${command.move}`;
    const text = JSON.stringify(answer);
    if (first) this.#receipts.set(name, text);
    else if (this.#receipts.get(name) !== text) return `answered ${text}, before ${this.#receipts.get(name)}`;
    return null;
  }

  /** PURGING ends where nothing is left, and only in a batch of its own move. */
  #endPurge(slots: SlotRanges, move: number, machine: MachineView): void {
    const filled = new Set(machine.slotStats(slots).map(({ slot }) => slot));
    for (const slot of each(slots)) {
      const place = this.placeOf(slot);
      if (place.state !== 'purging' || place.move !== move || filled.has(slot)) continue;
      this.#places.set(slot, { ...place, state: 'none', move: 0 });
    }
  }

  #compare(slots: SlotRanges, machine: MachineView): string | null {
    for (const slot of each(slots)) {
      const { state, move, floor } = this.placeOf(slot);
      const found = [machine.stateOf(slot), machine.moveOf(slot), machine.floorOf(slot)];
      const due = [STATES[state], move, floor];
      if (found.some((value, i) => value !== due[i]))
        return `slot ${slot} has state, move and floor ${found.join(', ')}; the table says ${due.join(', ')}`;
    }
    return null;
  }
}

function* each(slots: SlotRanges): Generator<number, void, void> {
  for (const [first, last] of slots) for (let slot = first; slot <= last; slot++) yield slot;
}

function describe(command: Exclude<KvCommand, { readonly key: Uint8Array }>): string {
  const move = 'move' in command ? ` of move ${command.move}` : '';
  const round = 'round' in command ? `, round ${command.round}` : '';
  return `${command.kind}${move}${round}`;
}

/** null: bytes that are no command. */
export function commandOf(data: Uint8Array): KvCommand | null {
  const decoded = decodeCommand(data);
  return 'command' in decoded ? decoded.command : null;
}
