/**
 * What a node offers to whoever speaks for clients (the HTTP room; the simulator's clients): requests as data, outcomes as
 * unions. Each area of the API has a file in `api/`; views of the administration are the JSON shapes of http-api.md, verbatim.
 */
import type { Answer } from './api/answer.js';
import type { BalanceSettingsRequest, BalanceSettingsView, BalanceView, HotReport } from './api/balance.js';
import type { ClusterView, ReadinessView } from './api/cluster.js';
import type { LocateView, MapView } from './api/map.js';
import type { AddNodeRequest, LeaderView, MembersRequest, MembersView, NodeView } from './api/members.js';
import type { MoveRequest, PlanAction, PlanRequest, PlanView, ReceiptsView, ReshardRequest } from './api/plans.js';
import type { SettingsRequest, SettingsView } from './api/settings.js';
import type { VerifyRequest, VerifyRunsView, VerifyView } from './api/verification.js';

export type * from './api/answer.js';
export type * from './api/balance.js';
export type * from './api/cluster.js';
export type * from './api/keys.js';
export type * from './api/map.js';
export type * from './api/members.js';
export type * from './api/plans.js';
export type * from './api/settings.js';
export type * from './api/verification.js';
export * from './cluster-limits.js';

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
  startBalance(request: PlanRequest, timeout_ms: number): Promise<Answer<PlanView>>;
  setBalance(request: BalanceSettingsRequest, timeout_ms: number): Promise<Answer<BalanceSettingsView>>;
  /** The node as it is then: known to the cluster. Again for a node that belongs to it already: no effect. */
  addNode(request: AddNodeRequest, timeout_ms: number): Promise<Answer<NodeView>>;
  /**
   * Begins to move the node's replicas off; once none is left, the node leaves the cluster for good. The answer is the node as
   * it is then (`draining`). Again: no effect, and `not_found` once it has left.
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
