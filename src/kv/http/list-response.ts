/**
 * A page of a list as JSON. The page ends early at 4 MiB of keys and values; only a missing `cursor` means the end.
 */
import type { ListedItem, ListOutcome } from '../server/api.js';
import { type HttpResponse, jsonResponse, problemResponse } from './http-response.js';
import { keyMembers, valueMembers } from './key-text.js';
import { encodeCursor } from './list-cursor.js';
import type { ListHead } from './list-request.js';

export const PAGE_BYTES_MAX = 4 * 1_048_576;

export function renderListOutcome(head: ListHead, outcome: ListOutcome, epoch: number): HttpResponse {
  if (outcome.kind === 'failed') return problemResponse(outcome.error, epoch);
  const keysOnly = head.request?.keysOnly ?? false;
  let next = outcome.next;
  let bytes = 0;
  const items: string[] = [];
  for (const item of outcome.items) {
    bytes += item.key.length + (keysOnly ? 0 : item.value.length);
    // The first item always goes, or a list would never get past it.
    if (bytes > PAGE_BYTES_MAX && items.length > 0) {
      next = item.key;
      break;
    }
    items.push(renderItem(item, keysOnly));
  }
  const cursor = next === null ? '' : `,"cursor":"${encodeCursor(head.bounds, next)}"`;
  return jsonResponse(200, `{"items":[${items.join(',')}]${cursor}}`, epoch);
}

function renderItem(item: ListedItem, keysOnly: boolean): string {
  const value = keysOnly ? '' : `${valueMembers(item.value)},`;
  const expiry = item.expiresIn_ms === null ? '' : `,"expires_in":${Math.max(0, Math.ceil(item.expiresIn_ms))}`;
  const type = JSON.stringify(item.contentType);
  return `{${keyMembers(item.key)},${value}"revision":"${item.revision}","version":${item.version},"content_type":${type}${expiry}}`;
}
