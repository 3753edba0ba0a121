/** What a leader knows before it proposes: a write for a slot that it does not serve need not go through the log. */
import type { KvStateMachine, NotServing } from '../store/index.js';

/** null: served, as of what is applied. Only a hint: what counts is what holds when the write is applied. */
export function refusalOf(machine: KvStateMachine, slot: number): NotServing | null {
  if (machine.serves(slot)) return null;
  return { kind: 'not_serving', slot, state: machine.stateOf(slot), move: machine.moveOf(slot) };
}
