/** The door of the room, and of the package: the TypeScript client. */
export type {
  BalanceLine,
  BalanceSettingsView,
  BalanceState,
  BalanceView,
  ClusterView,
  Consistency,
  ErrorCode,
  HotView,
  LeaderView,
  LocateView,
  MapView,
  MembersView,
  NodeView,
  PlanMoveView,
  PlanView,
  ReceiptView,
  SettingsView,
  VerifyDifference,
  VerifyPlanView,
  VerifyReplicaView,
  VerifyRunsView,
  VerifyShardView,
  VerifySummary,
  VerifyView,
} from '../server/api.js';
export { type AxiosSend, createAxiosSend } from './axios-send.js';
export { BasicClient, type PlanHistory } from './basic-client.js';
export { OutcomeUnknown, type Problem, QuorateError } from './errors.js';
export { type HttpRequest, type HttpResponse, type HttpSend, NotSent } from './http-send.js';
export { encodeBytes, encodeKeyPath, type KeyInput, keyBytes } from './key-path.js';
export { QuorateClient } from './quorate-client.js';
export type * from './types.js';
