/** What a frame on the Rpc channel asks for, as far as faults are drawn by it. See rpc.ts. */

const REQUEST = 0;
const KIND_AT = 1;
const METHOD_AT = 2;
/** The body follows. */
export const HEADER_BYTES = 11;

/** The method of a request; null for any other frame. */
export const requestedMethod = (frame: Uint8Array): number | null =>
  frame[KIND_AT] === REQUEST ? frame[METHOD_AT]! : null;
