/** The door of the room: what `shardctrl` and `kv` may use of consensus. */
export * from './core/index.js';
export * from './log/index.js';
export type * from './ports.js';
export { Channel } from './ports.js';
export * from './runtime/index.js';
export * from './transport/index.js';
