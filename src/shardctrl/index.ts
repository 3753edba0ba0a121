/** The door of the room: what `kv` may use of the controller. */

export * from './balance.js';
export { decodeControllerCommand, encodeControllerCommand } from './command-codec.js';
export type { CheckedCommand, ControllerCommand, ControllerResult } from './commands.js';
export { ControllerStateMachine } from './controller-state-machine.js';
export * from './driver-ports.js';
export * from './driver-settings.js';
export { completed } from './map-delta.js';
export * from './member-change.js';
export { MemberDriver, type MemberDriverOptions } from './member-driver.js';
export { hasMajority } from './member-repair.js';
export type { Resource } from './overload.js';
export * from './placement.js';
export * from './plan.js';
export { MAX_PAUSE_DEFAULT_MS } from './plan-commands.js';
export * from './plan-draft.js';
export { PlanDriver, type PlanDriverOptions } from './plan-driver.js';
export * from './plan-forecast.js';
export * from './planner.js';
export * from './rebuild.js';
export { type ReshardWish, type ShardWeight, WEIGHT_DEFAULT, WEIGHT_MAX, WEIGHT_MIN } from './reshard-wish.js';
export * from './settings.js';
export * from './shard-map.js';
export * from './shard-port.js';
export * from './size-planner.js';
export * from './slot-figures.js';
export * from './slot-ranges.js';
export * from './slots.js';
