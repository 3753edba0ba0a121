/** One replica of the controller's state machine over rows in memory, fed with commands as its log would. */
import {
  type EngineRange,
  type EngineRow,
  EntryKind,
  index,
  type StateEngine,
  type StateRows,
  term,
} from '../../src/raft/index.js';
import {
  type ControllerCommand,
  type ControllerResult,
  ControllerStateMachine,
  countSlots,
  encodeControllerCommand,
  type NodeEntry,
  type PlanState,
  type ShardMap,
  SLOT_COUNT,
  unionSlots,
} from '../../src/shardctrl/index.js';

export class MemoryRows implements StateRows {
  readonly byHex = new Map<string, Buffer>();

  get(key: Uint8Array): Buffer | undefined {
    return this.byHex.get(Buffer.from(key).toString('hex'));
  }

  peek(key: Uint8Array): Buffer | undefined {
    return this.get(key);
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.byHex.set(Buffer.from(key).toString('hex'), Buffer.from(value));
  }

  delete(key: Uint8Array): void {
    this.byHex.delete(Buffer.from(key).toString('hex'));
  }

  /** As an engine that is read when a state machine opens. */
  engine(): StateEngine {
    const range = async ({ gte, lt, limit = Number.POSITIVE_INFINITY }: EngineRange): Promise<EngineRow[]> => {
      const [low, high] = [Buffer.from(gte).toString('hex'), Buffer.from(lt).toString('hex')];
      const keys = [...this.byHex.keys()].filter((key) => key >= low && key < high).sort();
      return keys.slice(0, limit).map((key) => ({ key: Buffer.from(key, 'hex'), value: this.byHex.get(key)! }));
    };
    return { range } as unknown as StateEngine;
  }
}

export class MemoryController {
  readonly rows: MemoryRows;
  machine: ControllerStateMachine;
  #index: number;
  now_ms = 1_000;

  private constructor(rows: MemoryRows, machine: ControllerStateMachine, at: number) {
    this.rows = rows;
    this.machine = machine;
    this.#index = at;
  }

  static async open(rows = new MemoryRows(), at = 0): Promise<MemoryController> {
    const machine = new ControllerStateMachine();
    await machine.open(rows.engine(), rows);
    return new MemoryController(rows, machine, at);
  }

  /** A cluster of nodes n1… with shards s1… */
  static async cluster(nodes: number, shards: number, replicas: number | null = null): Promise<MemoryController> {
    const controller = await MemoryController.open();
    const result = controller.apply({ kind: 'init', clusterId: 'c', nodes: nodesOf(nodes), shards, replicas });
    if (result.kind !== 'initialised') throw new Error(JSON.stringify(result));
    return controller;
  }

  /** What a replica finds that has just restarted, or has just received a snapshot. */
  reopened(): Promise<MemoryController> {
    const copy = new MemoryRows();
    for (const [key, row] of this.rows.byHex) copy.byHex.set(key, row);
    return MemoryController.open(copy, this.#index);
  }

  apply(command: ControllerCommand, stamp_ms = this.now_ms): ControllerResult {
    return this.applyBytes(encodeControllerCommand(command, stamp_ms));
  }

  applyBytes(data: Uint8Array): ControllerResult {
    this.#index++;
    const result = this.machine.apply({ term: term(1), index: index(this.#index), kind: EntryKind.Command, data });
    this.machine.endRound();
    if (result === null) throw new Error('no result');
    return result;
  }

  get index(): number {
    return this.#index;
  }

  get map(): ShardMap {
    const map = this.machine.map();
    if (map === null) throw new Error('no map');
    return map;
  }

  get latest(): PlanState {
    const plan = this.machine.latestPlan();
    if (plan === null) throw new Error('no plan');
    return plan;
  }
}

export const nodeOf = (id: string, labels: Record<string, string> = {}): NodeEntry => ({
  id,
  http: `${id}:7001`,
  peer: `${id}:7002`,
  labels,
  incarnation: `incarnation-${id}`,
});

export const nodesOf = (count: number): NodeEntry[] => Array.from({ length: count }, (_, i) => nodeOf(`n${i + 1}`));

/** Carries out the latest plan as a driver would that nothing ever goes wrong for. */
export function carryOut(controller: MemoryController): void {
  const plan = controller.latest;
  for (const move of plan.moves) {
    const started = controller.apply({ kind: 'start_batch', plan: plan.id, planMove: move.id, slots: move.slots });
    if (started.kind !== 'batch_started') throw new Error(JSON.stringify(started));
    controller.apply({ kind: 'publish', move: started.move, receipt: receiptOf({ keys: 10, bytes: 100 }) });
    controller.apply({ kind: 'batch_done', move: started.move, pause_ms: 7 });
  }
  for (const shard of plan.retiring) controller.apply({ kind: 'shard_retired', shard });
  controller.apply({ kind: 'plan_finished', plan: plan.id, warnings: [] });
}

export const receiptOf = (sums: { keys?: number; bytes?: number; digest?: string; pause_ms?: number | null } = {}) => ({
  keys: sums.keys ?? 0,
  bytes: sums.bytes ?? 0,
  idempotencyRecords: 0,
  sourceDigest: sums.digest ?? `${'0'.repeat(31)}1`,
  destinationDigest: sums.digest ?? `${'0'.repeat(31)}1`,
  freezeIndex: 5,
  installIndex: 6,
  revision: 9,
  freeze_clock_ms: 900,
  pause_ms: sums.pause_ms === undefined ? 3 : sums.pause_ms,
});

/** Every slot has exactly one owner. */
export function expectWhole(map: ShardMap): void {
  const counted = map.shards.reduce((sum, shard) => sum + countSlots(shard.slots), 0);
  const owned = countSlots(map.shards.map((shard) => shard.slots).reduce(unionSlots, []));
  if (counted !== SLOT_COUNT || owned !== SLOT_COUNT) {
    throw new Error(`in epoch ${map.epoch} ${owned} slots have ${counted} owners`);
  }
}
