/**
 * A second door of the room, for programs that make one call and end: the client without the map, and so without the
 * controller's and consensus's code, which would take longer to load than the call.
 */
export { type AxiosSend, createAxiosSend } from '../axios-send.js';
export { BasicClient } from '../basic-client.js';
export { OutcomeUnknown, type Problem, QuorateError } from '../errors.js';
export type { HttpRequest, HttpResponse, HttpSend } from '../http-send.js';
export type * from '../types.js';
