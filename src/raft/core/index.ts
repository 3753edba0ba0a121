export { isMember } from './confchange.js';
export { decodeConfChange, encodeConfChange } from './confchange-codec.js';
export { RaftCore } from './raft-core.js';
export * from './types.js';
