/**
 * The controller's state: what is kept in memory of it, and every change of it as rows. The only writer of rows; it knows
 * no commands and judges nothing.
 */
import { type GroupId, ReplicaDamaged, type StateEngine, type StateRows } from '../raft/index.js';
import { DigestedRows, decodeRow, RowKind, rowKey } from './controller-rows.js';
import {
  completed,
  type EpochRow,
  FULL_MAP_EVERY,
  type MapDelta,
  nextMap,
  type OwnerChange,
  ownerChange,
} from './map-delta.js';
import type { MemberChange } from './member-change.js';
import {
  type Batch,
  completedMove,
  completedPlan,
  type EarlierMove,
  type EarlierPlan,
  type PlanId,
  type PlanMove,
  type PlanState,
  type PlanSummary,
  type StoredReceipt,
  type Tombstone,
} from './plan.js';
import { type ClusterSettings, completedSettings, SETTINGS_DEFAULT } from './settings.js';
import type { ShardMap } from './shard-map.js';
import type { MoveId } from './shard-port.js';
import type { SlotFigures } from './slot-figures.js';

/** Older ones keep their summary; their moves and receipts are forgotten. */
export const PLANS_KEPT = 100;

interface Meta {
  readonly clusterId: string;
  readonly epoch: number;
  readonly nextShard: GroupId;
  readonly nextPlan: number;
  /** The largest stamp applied, milliseconds since 1970. */
  readonly clock_ms: number;
}

const planNumber = (plan: PlanId): number => Number(plan.slice(1));
const moveNumber = (move: PlanMove): number => Number(move.id.slice(1));
/** Epochs whose row is a whole map. */
const isFull = (epoch: number): boolean => epoch === 1 || epoch % FULL_MAP_EVERY === 0;

export class ControllerState {
  readonly #rows: DigestedRows;
  #meta: Meta | null = null;
  #map: ShardMap | null = null;
  /** Ascending by number; the moves of a plan are in it. */
  readonly #plans = new Map<number, PlanState>();
  readonly #batches = new Map<MoveId, Batch>();
  readonly #tombstones = new Map<GroupId, Tombstone>();
  readonly #changes = new Map<GroupId, MemberChange>();
  #settings: ClusterSettings = SETTINGS_DEFAULT;

  private constructor(rows: StateRows) {
    this.#rows = new DigestedRows(rows);
  }

  /** Rejects with `ReplicaDamaged` if rows are corrupt or of an unknown format. */
  static async open(engine: StateEngine, rows: StateRows): Promise<ControllerState> {
    const state = new ControllerState(rows);
    const moves = new Map<number, PlanMove[]>();
    let gte: Uint8Array = Uint8Array.of(0x01);
    for (;;) {
      const page = await engine.range({ gte, lt: Uint8Array.of(0xff), limit: 1_000 });
      for (const { key, value } of page) state.#load(key, value, moves);
      if (page.length < 1_000) break;
      gte = Buffer.concat([page[page.length - 1]!.key, Buffer.of(0)]);
    }
    for (const [number, list] of moves) {
      const plan = state.#plans.get(number);
      if (plan !== undefined) state.#plans.set(number, { ...plan, moves: list });
    }
    if (state.#meta !== null) state.#map = state.#rebuild(state.#meta.epoch);
    return state;
  }

  #load(key: Buffer, row: Buffer, moves: Map<number, PlanMove[]>): void {
    this.#rows.count(key, row);
    const value = decodeRow(key, row);
    switch (key[0]) {
      case RowKind.Meta:
        this.#meta = value as Meta;
        break;
      case RowKind.Plan:
        this.#plans.set(key.readUIntBE(1, 6), completedPlan(value as EarlierPlan));
        break;
      case RowKind.Move: {
        const plan = key.readUIntBE(1, 6);
        const list = moves.get(plan) ?? [];
        list.push(completedMove(value as EarlierMove));
        moves.set(plan, list);
        break;
      }
      case RowKind.Batch:
        this.#batches.set((value as Batch).move, value as Batch);
        break;
      case RowKind.Tombstone:
        this.#tombstones.set((value as Tombstone).shard, value as Tombstone);
        break;
      case RowKind.Change:
        this.#changes.set((value as MemberChange).group, value as MemberChange);
        break;
      case RowKind.Settings:
        this.#settings = completedSettings(value as Partial<ClusterSettings>);
        break;
      case RowKind.Epoch:
      case RowKind.Receipt:
      case RowKind.Figures:
        break;
      default:
        throw new ReplicaDamaged(`the controller's state has a row of unknown kind ${key[0]}`);
    }
  }

  digest(): string {
    return this.#rows.digest();
  }

  // ----------------------------------------------------------------------------------------------------------- cluster

  get map(): ShardMap | null {
    return this.#map;
  }

  get clock_ms(): number {
    return this.#meta?.clock_ms ?? 0;
  }

  get nextShard(): GroupId {
    return this.#known().nextShard;
  }

  #known(): Meta {
    if (this.#meta === null) throw new Error('invariant: the controller is not initialised');
    return this.#meta;
  }

  #putMeta(change: Partial<Meta>): void {
    this.#meta = { ...this.#known(), ...change };
    this.#rows.put(rowKey(RowKind.Meta), this.#meta);
  }

  initialise(map: ShardMap, clock_ms: number): void {
    const nextShard = Math.max(0, ...map.shards.map((shard) => shard.id)) + 1;
    this.#meta = { clusterId: map.clusterId, epoch: map.epoch, nextShard, nextPlan: 1, clock_ms };
    this.#putMeta({});
    this.#map = map;
    this.#rows.put(rowKey(RowKind.Epoch, map.epoch), { kind: 'full', map } satisfies EpochRow);
  }

  /** The clock never goes back, whatever a leader stamps. */
  advanceClock(stamp_ms: number): void {
    if (this.#meta !== null && stamp_ms > this.#meta.clock_ms) this.#putMeta({ clock_ms: stamp_ms });
  }

  /** Makes the next epoch and gives its number. */
  changeMap(delta: MapDelta): number {
    if (this.#map === null) throw new Error('invariant: a map is changed that is not there');
    const map = nextMap(this.#map, delta);
    this.#map = map;
    const row: EpochRow = isFull(map.epoch) ? { kind: 'full', map } : { kind: 'delta', delta };
    this.#rows.put(rowKey(RowKind.Epoch, map.epoch), row);
    const highest = Math.max(0, ...map.shards.map((shard) => shard.id));
    this.#putMeta({ epoch: map.epoch, nextShard: Math.max(this.#known().nextShard, highest + 1) });
    return map.epoch;
  }

  /** The map as it was; null: there is no such epoch. */
  mapAt(epoch: number): ShardMap | null {
    if (this.#map === null || !Number.isInteger(epoch) || epoch < 1 || epoch > this.#map.epoch) return null;
    return epoch === this.#map.epoch ? this.#map : this.#rebuild(epoch);
  }

  /** How slots changed their owner in this epoch; null: they did not, or there is no such epoch. */
  ownerChangeAt(epoch: number): OwnerChange | null {
    if (epoch <= 1) return null;
    const row = this.#rows.get(rowKey(RowKind.Epoch, epoch)) as EpochRow | undefined;
    if (row === undefined) return null;
    if (row.kind === 'delta') return row.delta.kind === 'owner' ? row.delta : null;
    return ownerChange(this.#rebuild(epoch - 1), this.#rebuild(epoch));
  }

  #rebuild(epoch: number): ShardMap {
    let map: ShardMap | null = null;
    const base = Math.max(1, epoch - (epoch % FULL_MAP_EVERY));
    for (let at = base; at <= epoch; at++) {
      const row = this.#rows.get(rowKey(RowKind.Epoch, at)) as EpochRow | undefined;
      if (row?.kind === 'full') map = completed(row.map);
      else if (row !== undefined && map !== null) map = nextMap(map, row.delta);
      else throw new ReplicaDamaged(`the controller's state lacks epoch ${at}`);
    }
    if (map === null) throw new Error(`invariant: epoch ${epoch} was not rebuilt`);
    return map;
  }

  get tombstones(): ReadonlyMap<GroupId, Tombstone> {
    return this.#tombstones;
  }

  putTombstone(tombstone: Tombstone): void {
    this.#tombstones.set(tombstone.shard, tombstone);
    this.#rows.put(rowKey(RowKind.Tombstone, tombstone.shard), tombstone);
  }

  /** Changes of members that are under way, at most one a group. */
  get changes(): ReadonlyMap<GroupId, MemberChange> {
    return this.#changes;
  }

  putChange(change: MemberChange): void {
    this.#changes.set(change.group, change);
    this.#rows.put(rowKey(RowKind.Change, change.group), change);
  }

  dropChange(group: GroupId): void {
    if (this.#changes.delete(group)) this.#rows.delete(rowKey(RowKind.Change, group));
  }

  get settings(): ClusterSettings {
    return this.#settings;
  }

  putSettings(settings: ClusterSettings): void {
    this.#settings = settings;
    this.#rows.put(rowKey(RowKind.Settings), settings);
  }

  // ------------------------------------------------------------------------------------------------------------- plans

  plan(id: PlanId): PlanState | null {
    const plan = this.#plans.get(planNumber(id));
    return plan !== undefined && plan.id === id ? plan : null;
  }

  /** Those that began after it, in order. */
  plansAfter(id: PlanId): PlanState[] {
    return [...this.#plans].filter(([number]) => number > planNumber(id)).map(([, plan]) => plan);
  }

  latestPlan(): PlanState | null {
    return this.#plans.get(this.#lastPlan()) ?? null;
  }

  #lastPlan(): number {
    return (this.#meta?.nextPlan ?? 1) - 1;
  }

  /** Newest first. */
  summaries(): PlanSummary[] {
    const all = [...this.#plans.values()].reverse();
    return all.map((plan) => ({ id: plan.id, state: plan.status, created_ms: plan.created_ms }));
  }

  /** When the newest plan of this kind was made, milliseconds since 1970; null: there has been none. */
  lastPlan_ms(kind: PlanState['kind']): number | null {
    let last: number | null = null;
    for (const plan of this.#plans.values()) if (plan.kind === kind) last = plan.created_ms;
    return last;
  }

  /** Writes a new plan under the next id, with the figures that it goes by, and lets go of the oldest one's details. */
  addPlan(plan: Omit<PlanState, 'id'>, figures: SlotFigures | null = null): PlanState {
    const number = this.#known().nextPlan;
    this.#putMeta({ nextPlan: number + 1 });
    const added: PlanState = { ...plan, id: `p${number}` };
    this.putPlan(added);
    for (const move of added.moves) this.putMove(added.id, move);
    if (figures !== null) this.#rows.put(rowKey(RowKind.Figures, number), figures);
    this.#forget(number - PLANS_KEPT);
    return added;
  }

  #forget(number: number): void {
    const old = this.#plans.get(number);
    if (old === undefined) return;
    for (const move of old.moves) this.#rows.delete(rowKey(RowKind.Move, number, moveNumber(move)));
    for (let i = 1; i <= old.receipts; i++) this.#rows.delete(rowKey(RowKind.Receipt, number, i));
    if (this.figures(old.id) !== null) this.#rows.delete(rowKey(RowKind.Figures, number));
    this.putPlan({ ...old, moves: [], receipts: 0, forgotten: true });
  }

  /** What slots held when the plan was made; null: it did not go by that. */
  figures(plan: PlanId): SlotFigures | null {
    return (this.#rows.get(rowKey(RowKind.Figures, planNumber(plan))) as SlotFigures | undefined) ?? null;
  }

  /** All but its moves: those have rows of their own, so that a batch rewrites one of them only. */
  putPlan(plan: PlanState): void {
    const number = planNumber(plan.id);
    this.#plans.set(number, plan);
    this.#rows.put(rowKey(RowKind.Plan, number), { ...plan, moves: [] });
  }

  putMove(id: PlanId, move: PlanMove): void {
    const number = planNumber(id);
    const plan = this.#plans.get(number);
    if (plan === undefined) throw new Error(`invariant: a move of ${id}, which is not there`);
    const moves = plan.moves.map((other) => (other.id === move.id ? move : other));
    this.#plans.set(number, { ...plan, moves });
    this.#rows.put(rowKey(RowKind.Move, number, moveNumber(move)), move);
  }

  get batches(): ReadonlyMap<MoveId, Batch> {
    return this.#batches;
  }

  putBatch(batch: Batch): void {
    this.#batches.set(batch.move, batch);
    this.#rows.put(rowKey(RowKind.Batch, batch.move), batch);
  }

  dropBatch(move: MoveId): void {
    this.#batches.delete(move);
    this.#rows.delete(rowKey(RowKind.Batch, move));
  }

  putReceipt(plan: PlanId, number: number, receipt: StoredReceipt): void {
    this.#rows.put(rowKey(RowKind.Receipt, planNumber(plan), number), receipt);
  }

  receipt(plan: PlanId, number: number): StoredReceipt {
    const row = this.#rows.get(rowKey(RowKind.Receipt, planNumber(plan), number));
    if (row === undefined) throw new ReplicaDamaged(`the controller's state lacks receipt ${number} of plan ${plan}`);
    return row as StoredReceipt;
  }
}
