/** The door of the room: what `kv` may use of the controller. */
export * from './shard-map.js';
export * from './shard-port.js';
export * from './slot-ranges.js';
export * from './slots.js';
