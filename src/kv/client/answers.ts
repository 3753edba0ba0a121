/**
 * JSON answers read into what callers get. A body that is not what the contract says is an error with a name, not an
 * `undefined` somewhere later.
 */
import { QuorateError, revisionOf } from './errors.js';
import type { HttpResponse } from './http-send.js';
import type { GetResult, ListedKey, ListedPage, PutResult } from './types.js';

type Fields = Readonly<Record<string, unknown>>;

function malformed(what: string): QuorateError {
  return new QuorateError({ code: 'internal', status: 200, detail: `the node's answer is malformed: ${what}` });
}

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export function readJson(response: HttpResponse): Fields {
  let body: unknown;
  try {
    body = JSON.parse(response.body.toString('utf8'));
  } catch {
    throw malformed('not JSON');
  }
  if (!isFields(body)) throw malformed('not a JSON object');
  return body;
}

function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string') throw malformed(`no text in ${name}`);
  return value;
}

function number(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value !== 'number') throw malformed(`no number in ${name}`);
  return value;
}

function bytes(fields: Fields, name: string, encodingName: string): Buffer {
  const encoding = fields[encodingName];
  if (encoding !== 'utf8' && encoding !== 'base64') throw malformed(`unknown encoding in ${encodingName}`);
  return Buffer.from(text(fields, name), encoding);
}

export function readStored(response: HttpResponse): PutResult {
  const body = readJson(response);
  return {
    created: response.status === 201,
    revision: text(body, 'revision'),
    version: number(body, 'version'),
    shard: text(body, 'shard'),
  };
}

export function readDeleted(response: HttpResponse): { readonly revision: string } {
  return { revision: text(readJson(response), 'revision') };
}

export function readFound(response: HttpResponse): GetResult {
  const { headers, body } = response;
  const revision = revisionOf(response);
  if (revision === null) throw malformed('no ETag');
  const expires = headers['x-quorate-expires-in'];
  return {
    value: body,
    contentType: headers['content-type'] ?? 'application/octet-stream',
    revision,
    version: Number(headers['x-quorate-version']),
    shard: headers['x-quorate-shard'] ?? '',
    expiresIn_ms: expires === undefined ? null : Number(expires),
  };
}

function readItem(item: unknown): ListedKey {
  if (!isFields(item)) throw malformed('an item is no object');
  const contentType = item['content_type'];
  const expires = item['expires_in'];
  return {
    key: bytes(item, 'key', 'key_encoding'),
    value: item['value'] === undefined ? null : bytes(item, 'value', 'encoding'),
    revision: text(item, 'revision'),
    version: number(item, 'version'),
    contentType: typeof contentType === 'string' ? contentType : null,
    expiresIn_ms: typeof expires === 'number' ? expires : null,
  };
}

export function readPage(response: HttpResponse): ListedPage {
  const body = readJson(response);
  const { items, cursor } = body;
  if (!Array.isArray(items)) throw malformed('no items');
  if (cursor !== undefined && cursor !== null && typeof cursor !== 'string') throw malformed('cursor is no text');
  return { items: items.map(readItem), cursor: cursor ?? null };
}

/** Views of the cluster are read as the contract's types; the one field that all of them need is checked. */
export function readView<T>(response: HttpResponse, field: keyof T & string): T {
  const body = readJson(response);
  if (body[field] === undefined) throw malformed(`no ${field}`);
  return body as T;
}
