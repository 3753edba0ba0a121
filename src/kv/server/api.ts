/**
 * What a node offers to whoever speaks for clients (the HTTP room; the simulator's clients). Outcomes are unions; the map
 * from codes to HTTP statuses is in `kv/http`.
 */
import type { ShareBy } from '../../shardctrl/index.js';
import type { DeleteCommand, ListItem, PutCommand } from '../store/index.js';

export * from './cluster-limits.js';

export type ErrorCode =
  | 'key_not_found'
  | 'not_found'
  | 'method_not_allowed'
  | 'invalid_key'
  | 'invalid_argument'
  | 'invalid_body'
  | 'precondition_failed'
  | 'value_too_large'
  | 'key_too_large'
  | 'wrong_shard'
  | 'cross_slot'
  | 'plan_impossible'
  | 'conflict'
  | 'unauthenticated'
  | 'permission_denied'
  | 'overloaded'
  | 'no_leader'
  | 'slot_moving'
  | 'unavailable'
  | 'outcome_unknown'
  | 'internal'
  | 'not_implemented';

export interface ApiError {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly shard?: string;
  readonly slot?: number;
  readonly epoch?: number;
  readonly leader?: string;
  readonly phase?: string;
}

export type Consistency = 'linearizable' | 'stale';

export interface GetRequest {
  readonly kind: 'get';
  readonly key: Buffer;
  readonly consistency: Consistency;
  /** Only with `stale`: how old the answer may be; null: the default of 10 s. */
  readonly maxStaleness_ms: number | null;
}

export interface ListRangeRequest {
  readonly kind: 'list';
  readonly start: Buffer;
  readonly end: Buffer | null;
  readonly limit: number;
  readonly keysOnly: boolean;
  readonly consistency: Consistency;
  readonly maxStaleness_ms: number | null;
}

/** Common to all requests on keys. */
export interface RequestContext {
  /** From now; the request is answered by then, with 503 or 504 if need be. */
  readonly timeout_ms: number;
  /** `X-Quorate-No-Forward: 1`: a node that does not lead the key's shard answers `wrong_shard`, but to reads that may be stale. */
  readonly noForward: boolean;
  readonly requestId: string;
}

export type KvRequest =
  | (PutCommand & { readonly key: Buffer })
  | (DeleteCommand & { readonly key: Buffer })
  | GetRequest;

export type KvOutcome =
  | {
      readonly kind: 'stored';
      readonly created: boolean;
      readonly revision: number;
      readonly version: number;
      readonly shard: string;
    }
  | { readonly kind: 'deleted'; readonly revision: number; readonly shard: string }
  | {
      readonly kind: 'found';
      readonly value: Buffer;
      readonly contentType: string;
      readonly revision: number;
      readonly version: number;
      /** null: never. */
      readonly expiresIn_ms: number | null;
      readonly shard: string;
    }
  | { readonly kind: 'missing'; readonly shard: string }
  | { readonly kind: 'precondition_failed'; readonly revision: number | null; readonly shard: string }
  | { readonly kind: 'failed'; readonly error: ApiError };

export interface ListedItem extends ListItem {
  readonly expiresIn_ms: number | null;
}

export type ListOutcome =
  | {
      readonly kind: 'page';
      readonly items: readonly ListedItem[];
      /** First key of the next page (inclusive), or null at the end. */
      readonly next: Buffer | null;
    }
  | { readonly kind: 'failed'; readonly error: ApiError };

export interface KvService {
  /** The epoch of the newest map this node knows; on every answer as `X-Quorate-Epoch`. */
  epoch(): number;
  /** Calls `done` exactly once, perhaps before it returns. A callback, not a promise: this is the hot path. */
  execute(request: KvRequest, context: RequestContext, done: (outcome: KvOutcome) => void): void;
  list(request: ListRangeRequest, context: RequestContext): Promise<ListOutcome>;
}

export type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: ApiError };

// --------------------------------------------------------------------------------- JSON shapes of http-api.md, verbatim

export interface ClusterView {
  readonly cluster_id: string;
  readonly epoch: number;
  readonly health: string;
  readonly nodes: readonly {
    readonly id: string;
    readonly http: string;
    readonly peer: string;
    readonly labels: Readonly<Record<string, string>>;
    /** `healthy`, `suspect`, `down`; `draining`: its replicas are being moved off, and it is healthy otherwise. */
    readonly state: string;
    /** ISO 8601. */
    readonly since: string;
  }[];
  readonly shards: readonly {
    readonly id: string;
    /** `ok`, `degraded` (a member is away), `no_leader`, `creating`, `retiring`. */
    readonly state: string;
    readonly slots: string;
    readonly slot_count: number;
    readonly members: readonly {
      readonly node: string;
      /** `leader`, `follower`, `candidate`, `learner`, or `unknown`. */
      readonly role: string;
      readonly applied: number | null;
      readonly lag: number | null;
      /** `ok`, `down`, `damaged`, `snapshot`. */
      readonly state: string;
    }[];
    readonly leader: string | null;
    readonly term: number | null;
    readonly keys: number | null;
    readonly bytes: number | null;
    /** Its share is in proportion. */
    readonly weight?: number;
    /** Decayed; null where nobody leads it. */
    readonly reads_per_s: number | null;
    readonly writes_per_s: number | null;
  }[];
  readonly controller: {
    readonly leader: string | null;
    readonly term: number | null;
    readonly members: readonly string[];
  };
  /** As the controller's leader saw it when it looked last; null: it has not looked yet, or does not answer. */
  readonly balance: BalanceLine | null;
  /** Members on nodes that are down, as this node sees them. */
  readonly missing_replicas: readonly MissingReplicaView[];
}

export interface MissingReplicaView {
  /** `s2`, or `controller`. */
  readonly group: string;
  /** The node that is down. */
  readonly node: string;
  /** ISO 8601: when it was last heard of. */
  readonly since: string;
  /** `rebuilding` elsewhere, `waiting` for that, or `blocked`: it is not going to be. */
  readonly state: string;
  /** Where to, for what, or why not, for a person. */
  readonly reason: string;
}

export interface MapView {
  readonly cluster_id: string;
  readonly epoch: number;
  readonly shards: readonly {
    readonly id: string;
    readonly slots: string;
    readonly members: readonly string[];
    readonly weight?: number;
    /** Nodes that get no replica of it by themselves; left out where there are none. */
    readonly avoids?: readonly string[];
  }[];
  readonly nodes: readonly {
    readonly id: string;
    readonly http: string;
    readonly peer: string;
    readonly labels: Readonly<Record<string, string>>;
  }[];
}

export interface LocateView {
  readonly slot: number;
  readonly shard: string;
  readonly leader: string | null;
  readonly members: readonly string[];
  readonly epoch: number;
}

export interface PlanMoveView {
  readonly id: string;
  readonly slots: string;
  readonly slot_count: number;
  readonly from: string;
  readonly to: string;
  readonly phase: string;
  readonly keys: number | null;
  readonly bytes: number | null;
  /** Keys a second while it runs, else null. */
  readonly rate: number | null;
  readonly eta_ms: number | null;
  /** The longest time that any slot of the move was frozen, so far. */
  readonly pause_ms: number | null;
  readonly checksum: string | null;
  /** Of a plan that is cancelled, or has failed. */
  readonly ending?: MoveEndingView;
}

export interface SomeSlotsView {
  /** `0-99,200`, or the empty string. */
  readonly slots: string;
  readonly slot_count: number;
}

/** What becomes of a move whose plan is cancelled, or has failed. */
export interface MoveEndingView {
  /**
   * `undoing`: some of its slots are on their way back. `forward`: what had been installed stays with the new owner, and
   * nothing is on its way back (any more). `undone`: all of its slots are with the old owner.
   */
  readonly outcome: 'undone' | 'undoing' | 'forward';
  /** Each of its slots is in one of these. */
  readonly forward: SomeSlotsView;
  readonly undoing: SomeSlotsView;
  readonly undone: SomeSlotsView;
  readonly not_begun: SomeSlotsView;
  /** The same in words. */
  readonly why: string;
}

export interface NewShardView {
  readonly id: string;
  readonly members: readonly string[];
  /** In a dry run: the members again, with what keeps them apart. */
  readonly placement?: readonly {
    readonly node: string;
    readonly zone: string | null;
    readonly host: string | null;
    readonly leads: boolean;
  }[];
}

/** Keys and bytes as they were when the plan was made; null: not known. */
export interface ShardBalanceView {
  readonly shard: string;
  readonly weight: number;
  /** It neither gives nor takes. */
  readonly excluded: boolean;
  readonly slots_before: number;
  readonly slots_after: number;
  readonly keys_before: number | null;
  readonly keys_after: number | null;
  readonly bytes_before: number | null;
  readonly bytes_after: number | null;
}

/** null: not known what the slots hold. */
export interface PredictedView {
  readonly time_ms: number | null;
  /** Of most slots, and of the one that pauses longest. */
  readonly pause_ms: number | null;
  readonly pause_ms_max: number | null;
  readonly batches: number | null;
  /** `measured`: by the receipts of the last plan. */
  readonly basis: 'measured' | 'defaults';
  /** What it goes by, in words. */
  readonly from: string;
}

export interface PlanView {
  readonly id: string;
  readonly state: 'planned' | 'running' | 'paused' | 'done' | 'failed' | 'cancelled';
  readonly reason?: string;
  /** What it is for, where nobody asked for its moves. */
  readonly cause?: string;
  readonly created: string;
  /** Of a plan that has been started: no slot is to be frozen longer. */
  readonly max_pause_ms?: number;
  /** Bytes a second that its copies may send; missing: as much as goes. */
  readonly max_rate_bytes?: number;
  readonly moves: readonly PlanMoveView[];
  /** With a plan of `dry_run` too: the shares that result, by shard. */
  readonly shares?: Readonly<Record<string, number>>;
  /** Members of shards that the plan makes. */
  readonly new_shards?: readonly NewShardView[];
  /** Shards that the plan retires. */
  readonly retired_shards?: readonly string[];
  readonly warnings?: readonly string[];
  /** What is evened out. */
  readonly by?: ShareBy;
  readonly excluded_shards?: readonly string[];
  readonly excluded_nodes?: readonly string[];
  readonly balance?: readonly ShardBalanceView[];
  /** With `dry_run`. */
  readonly predicted?: PredictedView;
}

/** What one batch of a move has proved (invariant 8 of resharding.md). */
export interface ReceiptView {
  /** Of the plan's, from 1. */
  readonly number: number;
  readonly move: string;
  readonly from: string;
  readonly to: string;
  readonly slots: string;
  readonly slot_count: number;
  readonly keys: number;
  readonly bytes: number;
  readonly idempotency_records: number;
  readonly source_checksum: string;
  readonly destination_checksum: string;
  /** Of the Freeze and the Install, each in its shard's log. */
  readonly freeze_index: number;
  readonly install_index: number;
  /** The source's newest at the freeze. */
  readonly revision: string;
  /** The map's, from which on the destination owns the slots. */
  readonly epoch: number;
  /** How long they were frozen. */
  readonly pause_ms: number | null;
}

export interface ReceiptsView {
  readonly id: string;
  readonly receipts: readonly ReceiptView[];
  /** `after` of the next page; missing: there are no more, for now. */
  readonly next?: number;
}

export interface ReshardRequest {
  readonly shards: number;
  readonly replicas?: number;
  readonly dry_run: boolean;
  readonly max_pause_ms?: number;
  /** Bytes a second. */
  readonly max_rate_bytes?: number;
  /** What is to be evened out; default: slots. */
  readonly by?: ShareBy;
  /** By shard, from now on; others keep theirs. */
  readonly weights?: Readonly<Record<string, number>>;
  /** Shards that neither give nor take. */
  readonly exclude_shards?: readonly string[];
  /** Nodes that no replica of a new shard is placed on. */
  readonly exclude_nodes?: readonly string[];
}

export interface MoveRequest {
  /** `"0-99,200"`. */
  readonly slots: string;
  /** `s2`. */
  readonly to: string;
  readonly dry_run: boolean;
  readonly max_pause_ms?: number;
  readonly max_rate_bytes?: number;
}

/**
 * `watching`: some shard is overloaded, but not for long enough yet. `stuck`: one is, and no move helps. `unknown`: some shard has not
 * said what it carries.
 */
export type BalanceState = 'balanced' | 'watching' | 'unbalanced' | 'stuck' | 'unknown';

export interface BalanceLine {
  /** The controller carries out what it proposes. */
  readonly auto: boolean;
  readonly state: BalanceState;
  /** One sentence. */
  readonly detail: string;
}

export interface BalanceSettingsView {
  readonly auto: boolean;
  /** A shard is overloaded when it carries so much more than its fair share. */
  readonly limit_percent: number;
  /** It counts once it has been so for as long. */
  readonly hold_s: number;
}

/** What is left out stays as it is. */
export type BalanceSettingsRequest = Partial<BalanceSettingsView>;

export interface BalanceView extends BalanceLine, BalanceSettingsView {
  /** null: no shard is. */
  readonly overloaded_s: number | null;
  /** Shares are fractions; of all shards that own slots. Empty where some have not said what they carry. */
  readonly shards: readonly {
    readonly id: string;
    readonly requests_per_s: number;
    readonly load_share: number;
    readonly bytes: number;
    readonly bytes_share: number;
    readonly fair_share: number;
  }[];
  readonly silent_shards: readonly string[];
  /** What would be done about it now, as by a dry run. */
  readonly plan: PlanView;
}

export interface BalanceRequest {
  readonly dry_run: boolean;
  readonly max_pause_ms?: number;
  readonly max_rate_bytes?: number;
}

/** Requests a second, decayed. */
export interface SlotLoadView {
  readonly slot: number;
  readonly shard: string;
  readonly reads_per_s: number;
  readonly writes_per_s: number;
  /** Of all requests of the cluster, from 0 to 1. */
  readonly share: number;
}

export interface HotKey {
  readonly key: Buffer;
  readonly slot: number;
  readonly shard: string;
  readonly requests_per_s: number;
  /** Most likely it is within so much of the truth. */
  readonly error_per_s: number;
}

export interface HotReport {
  /** In how many seconds a request comes to count for half. */
  readonly half_life_s: number;
  readonly shards: readonly {
    readonly id: string;
    readonly reads_per_s: number;
    readonly writes_per_s: number;
    readonly share: number;
  }[];
  /** The hottest first. */
  readonly slots: readonly SlotLoadView[];
  readonly keys: readonly HotKey[];
  /** Shards whose leader did not say what it has carried out. */
  readonly silent_shards: readonly string[];
  readonly silent_nodes: readonly string[];
}

/** `HotReport` as JSON shows it. */
export interface HotView extends Omit<HotReport, 'keys'> {
  readonly keys: readonly (Omit<HotKey, 'key'> & {
    readonly key: string;
    readonly key_encoding: 'utf8' | 'base64';
  })[];
}

/** `pause`: no further move begins. `cancel`: what is not installed is rolled back; what is, stays. */
export type PlanAction = 'pause' | 'resume' | 'cancel';

export type NodeView = ClusterView['nodes'][number];

/** A node that runs, belongs to no cluster yet and is to belong to this one. */
export interface AddNodeRequest {
  /** `host:port` where it listens for other nodes. */
  readonly peer: string;
}

/** The members of one shard, and what is under way to change them. */
export interface MembersView {
  readonly id: string;
  readonly members: readonly string[];
  /** Nodes whose replicas are being filled; they become members once they have caught up. */
  readonly joining: readonly string[];
  /** Members that go when `joining` have become members. */
  readonly leaving: readonly string[];
  /** What the change waits for, in words; null: none is under way. */
  readonly waits_for: string | null;
}

export interface MembersRequest {
  /** Node ids. */
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

export interface SettingsView {
  /** `10m`: so long a node has to be down before its replicas are made anew on others. null: they never are. */
  readonly rebuild_after: string | null;
}

/** What is to be set from now on. */
export interface SettingsRequest {
  readonly rebuildAfter_ms: number | null;
}

export interface LeaderView {
  readonly id: string;
  readonly leader: string;
  readonly term: number;
}

export interface VerifyRequest {
  /** Shards whose records are read and compared; empty: all, or none of them with `plan`. */
  readonly shards: readonly string[];
  /** Also what this plan has proved, and that it still holds. */
  readonly plan: string | null;
  /** What each node reads at most. */
  readonly mib_per_s: number;
  /** A view that has been open for so long is given up. */
  readonly give_up_ms: number;
}

/**
 * `rotten`, `records`, `index`, `state`, `remains`, `unreadable`: within one replica; `replicas`, `record`: between replicas;
 * `owner`: between shards and map; `receipt`: in what a plan has proved; `more`: how many are not listed.
 */
export interface VerifyDifference {
  readonly kind: string;
  /** Nodes whose replicas it is about. */
  readonly nodes: readonly string[];
  readonly slots: string | null;
  readonly key: string | null;
  readonly key_encoding: 'utf8' | 'base64' | null;
  readonly detail: string;
}

export interface VerifyReplicaView {
  readonly node: string;
  /** `waiting` for the mark, `reading`, `read`; `unanswered` in time; `failed`: there is nothing to compare. */
  readonly state: 'waiting' | 'reading' | 'read' | 'unanswered' | 'failed';
  /** Why it is not read, or what it waits for. */
  readonly detail: string | null;
  readonly index: number | null;
  readonly state_hash: string | null;
  readonly keys: number | null;
  readonly bytes: number | null;
  /** Of `bytes`, so far. */
  readonly read_bytes: number;
}

export interface VerifyShardView {
  readonly id: string;
  /** `records`: all were read; `slots`: only what the state keeps of them was compared. */
  readonly scope: 'records' | 'slots';
  readonly state: 'waiting' | 'preparing' | 'reading' | 'comparing' | 'done';
  /** Of the log: where its replicas are compared. */
  readonly index: number | null;
  readonly replicas: readonly VerifyReplicaView[];
  readonly differences: readonly VerifyDifference[];
}

export interface VerifyPlanView {
  readonly id: string;
  readonly state: string;
  /** Receipts that the plan has, and how many have been checked so far. */
  readonly receipts: number;
  readonly checked: number;
  readonly keys: number;
  readonly bytes: number;
  readonly differences: readonly VerifyDifference[];
  /** What could not be said, in sentences. */
  readonly unchecked: readonly string[];
}

export interface VerifyView {
  readonly id: string;
  readonly state: 'running' | 'done' | 'cancelled' | 'failed';
  /** `incomplete`: nothing differs, but not everything could be compared. null: not known yet. */
  readonly result: 'clean' | 'differences' | 'incomplete' | null;
  readonly reason?: string;
  readonly started: string;
  readonly ended: string | null;
  readonly mib_per_s: number;
  readonly shards: readonly VerifyShardView[];
  readonly plan: VerifyPlanView | null;
}

export type VerifySummary = Pick<VerifyView, 'id' | 'state' | 'result' | 'started'>;

export interface VerifyRunsView {
  /** Newest first. */
  readonly runs: readonly VerifySummary[];
  /** Nodes that did not say which verifications they know. */
  readonly silent: readonly string[];
}

export interface ReadinessView {
  readonly ready: boolean;
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[];
}

export interface AdminService {
  cluster(timeout_ms: number): Promise<Answer<ClusterView>>;
  /** `epoch` null: now. `waitEpoch`: answers once the map has reached it, or at the deadline with the map as it is. */
  map(epoch: number | null, waitEpoch: number | null, timeout_ms: number): Promise<Answer<MapView>>;
  locate(key: Buffer): Answer<LocateView>;
  reshard(request: ReshardRequest, timeout_ms: number): Promise<Answer<PlanView>>;
  move(request: MoveRequest, timeout_ms: number): Promise<Answer<PlanView>>;
  /** The plan as it is then: what is under way ends first. */
  steerPlan(id: string, action: PlanAction, timeout_ms: number): Promise<Answer<PlanView>>;
  /** Without an id: the latest, with `history` (ids and states of all, newest first). */
  plan(
    id: string | null,
    timeout_ms: number,
  ): Promise<
    Answer<
      PlanView & {
        readonly history?: readonly { readonly id: string; readonly state: string; readonly created: string }[];
      }
    >
  >;
  /** Of one plan, oldest first: those that follow the first `after`. */
  receipts(id: string, after: number, limit: number, timeout_ms: number): Promise<Answer<ReceiptsView>>;
  /** The slots and keys that are asked for most, at most `limit` of each. */
  hot(limit: number, timeout_ms: number): Promise<Answer<HotReport>>;
  balance(timeout_ms: number): Promise<Answer<BalanceView>>;
  /** Starts a plan that relieves overloaded shards. Where there is nothing to move it is only `planned`: nothing was started. */
  startBalance(request: BalanceRequest, timeout_ms: number): Promise<Answer<PlanView>>;
  setBalance(request: BalanceSettingsRequest, timeout_ms: number): Promise<Answer<BalanceSettingsView>>;
  /** The node as it is then: known to the cluster. Again for a node that belongs to it already: no effect. */
  addNode(request: AddNodeRequest, timeout_ms: number): Promise<Answer<NodeView>>;
  /**
   * Begins to move the node's replicas off; once none is left, the node leaves the cluster for good. The answer is the node as
   * it is then (`draining`). Again: no effect.
   */
  removeNode(id: string, timeout_ms: number): Promise<Answer<NodeView>>;
  /** Begins to change the members of a shard; the answer is what has begun. `conflict` while another change is under way. */
  changeMembers(shard: string, request: MembersRequest, timeout_ms: number): Promise<Answer<MembersView>>;
  members(shard: string, timeout_ms: number): Promise<Answer<MembersView>>;
  /** Answers once `to` leads the shard. */
  transferLeader(shard: string, to: string, timeout_ms: number): Promise<Answer<LeaderView>>;
  /** What is set for the whole cluster. */
  settings(timeout_ms: number): Promise<Answer<SettingsView>>;
  /** Again: no effect. */
  changeSettings(request: SettingsRequest, timeout_ms: number): Promise<Answer<SettingsView>>;
  /** Begins a verification, which this node carries on; `conflict` while it is at another one. */
  verify(request: VerifyRequest, timeout_ms: number): Promise<Answer<VerifyView>>;
  /** From whichever node: the id tells which one knows it. */
  verification(id: string, timeout_ms: number): Promise<Answer<VerifyView>>;
  verifications(timeout_ms: number): Promise<Answer<VerifyRunsView>>;
  /** Again, or too late: no effect. */
  cancelVerification(id: string, timeout_ms: number): Promise<Answer<VerifyView>>;
  readiness(): ReadinessView;
}
