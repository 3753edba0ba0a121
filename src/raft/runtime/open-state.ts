/** A state that a replica works on or may come to work on: an engine, the rows on their way into it, and a machine over both. */
import type { GroupId } from '../core/index.js';
import type { StateEngine, StateMachine } from '../ports.js';
import { type AppliedMeta, AppliedState } from './applied-state.js';
import type { ReplicaEnvironment } from './environment.js';

export interface OpenState {
  readonly engineName: string;
  readonly rows: AppliedState;
  readonly machine: StateMachine;
}

export interface StateBase {
  readonly engineName: string;
  readonly engine: StateEngine;
  /** What the engine's rows are of. */
  readonly meta: AppliedMeta;
}

/** How long rows gather before they go to the engine. */
const GATHER_ROWS_MS = 32;

/** The machine has yet to read what it keeps in memory: `machine.open`. `failed`: the engine did not take what was written. */
export function stateOn(
  base: StateBase,
  environment: ReplicaEnvironment,
  group: GroupId,
  failed: (error: Error) => void,
): OpenState {
  const { clock, rowCache } = environment;
  const pace = (write: () => void): void => {
    clock.after(GATHER_ROWS_MS, write);
  };
  const rows = new AppliedState(base.engine, base.meta, failed, rowCache.scope(), pace);
  return { engineName: base.engineName, rows, machine: environment.newMachine(group) };
}
