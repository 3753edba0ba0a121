/**
 * The one way out of the client: a function that sends an HTTP request. Production gives axios (`axios-send.ts`), the
 * simulator its own network.
 */

export interface HttpRequest {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** Absolute; its path is sent as it stands. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** The promise settles by then. */
  readonly timeout_ms: number;
}

export interface HttpResponse {
  /** Any status is an answer, not an error. */
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
}

/**
 * Rejects with `NotSent` if the request certainly never left; with any other error where it may have arrived (connection
 * lost, timeout).
 */
export type HttpSend = (request: HttpRequest) => Promise<HttpResponse>;

/** No connection came about: the request has certainly not been carried out. */
export class NotSent extends Error {
  override readonly name = 'NotSent';
}
