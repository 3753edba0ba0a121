/** Frames between nodes, and the codec of Raft messages. */
export type { Identity } from './handshake.js';
export { DEFAULT_LIMITS, type TransportEvent, type TransportLimits, type TransportStats } from './link-context.js';
export { MalformedFrame } from './malformed-frame.js';
export {
  decodeMessages,
  encodeMessages,
  type GroupMessage,
  MAX_BATCH_FRAME_BYTES,
  messageSize,
} from './message-codec.js';
export { type HostPort, parseAddress, type TransportTls } from './tcp-sockets.js';
export { openTcpTransport, type TcpTransport, type TcpTransportOptions } from './tcp-transport.js';
