/**
 * What is not HTTP, or too much of it, still gets an answer that explains itself, and then the connection ends.
 */
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { type HttpResponse, type ProblemOptions, problemResponse } from './http-response.js';
import { KEY_BYTES_MAX } from './key-text.js';

/** What node keeps on a socket and on a parser's error, and does not declare. */
interface ParserSocket {
  readonly _httpMessage?: ServerResponse | null;
}
interface ParserError extends Error {
  readonly code?: string;
  readonly rawPacket?: Buffer;
}

export function answerGarbage(error: ParserError, socket: Duplex & ParserSocket, epoch: number): void {
  const pending = socket._httpMessage;
  if (error.code === 'ECONNRESET' || !socket.writable || pending?.headersSent === true) {
    socket.destroy();
    return;
  }
  if (pending?.req.complete === true) {
    // A pipelined request before the garbage is still being answered: this answer must not be taken for that one.
    pending.once('close', () => socket.destroy());
    return;
  }
  socket.end(rawResponse(responseTo(error, epoch)));
  // A client that never ends its side must not keep the socket.
  socket.once('finish', () => socket.destroy());
}

function responseTo(error: ParserError, epoch: number): HttpResponse {
  const problem = (detail: string, options: ProblemOptions = {}): HttpResponse =>
    problemResponse({ code: 'invalid_argument', detail }, epoch, options);
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      if (isOverlongKey(error.rawPacket)) {
        return problemResponse(
          { code: 'key_too_large', detail: `the key is longer than ${KEY_BYTES_MAX} bytes` },
          epoch,
        );
      }
      return problem('the headers are larger than this node reads', {
        status: 431,
        title: 'Request header fields too large',
      });
    case 'HPE_INVALID_URL': {
      // Node's parser takes no byte above 0x7f here, as RFC 3986 has it; curl sends what it is given.
      const detail = 'the path or query has a byte that must be percent-encoded, such as é as %C3%A9';
      return problemResponse({ code: namesKey(error.rawPacket) ? 'invalid_key' : 'invalid_argument', detail }, epoch);
    }
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return problem('the request did not arrive in time', { status: 408, title: 'Request timeout' });
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return problem('the chunk extensions are larger than this node reads', {
        status: 413,
        title: 'Content too large',
      });
    default:
      return problem(`this is not a request of HTTP/1.1: ${error.message}`);
  }
}

/** The request line alone is longer than any key needs, and it names a key. Known only where the packet begins with it. */
function isOverlongKey(packet: Buffer | undefined): boolean {
  if (packet === undefined) return false;
  const lineEnd = packet.indexOf('\n');
  if (lineEnd >= 0 && lineEnd < KEY_BYTES_MAX * 8) return false;
  return namesKey(packet);
}

function namesKey(packet: Buffer | undefined): boolean {
  return packet !== undefined && /^[A-Z]+ \/v1\/kv\//.test(packet.toString('latin1', 0, 64));
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  413: 'Content Too Large',
  414: 'URI Too Long',
  431: 'Request Header Fields Too Large',
};

function rawResponse(response: HttpResponse): string {
  const { status, headers, body } = response;
  let text = `HTTP/1.1 ${status} ${REASONS[status] ?? ''}\r\nConnection: close\r\nDate: ${new Date().toUTCString()}\r\n`;
  for (let i = 0; i < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return `${text}\r\n${body.toString()}`;
}
