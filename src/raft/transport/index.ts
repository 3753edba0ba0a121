/** Frames between nodes, and the codec of Raft messages. */
export { MalformedFrame } from './malformed-frame.js';
export {
  decodeMessages,
  encodeMessages,
  type GroupMessage,
  MAX_BATCH_FRAME_BYTES,
  messageSize,
} from './message-codec.js';
