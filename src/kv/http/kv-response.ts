/**
 * From a `KvOutcome` to the answer that http-api.md promises.
 */
import type { KvOutcome } from '../server/api.js';
import { epochText, type HttpResponse, jsonResponse, problemResponse } from './http-response.js';
import { keyMembers } from './key-text.js';
import { EMPTY_BODY, type KvHead } from './kv-request.js';
import { CONTENT_TYPE_DEFAULT, noneMatchHolds } from './request-headers.js';

/** Types that a browser would run or render with scripts: the API shares its origin with the administration. */
const ACTIVE_CONTENT = /html|xml|svg/i;

export function renderKvOutcome(head: KvHead, outcome: KvOutcome, epoch: number): HttpResponse {
  switch (outcome.kind) {
    case 'found':
      return renderFound(head, outcome, epoch);
    case 'stored':
      return renderStored(head, outcome, epoch);
    case 'deleted':
      return jsonResponse(200, `{${keyMembers(head.key)},"revision":"${outcome.revision}","deleted":true}`, epoch);
    case 'missing':
      return problemResponse({ code: 'key_not_found', detail: 'there is no such key', shard: outcome.shard }, epoch);
    case 'precondition_failed':
      return renderPreconditionFailed(outcome, epoch);
    case 'failed':
      return problemResponse(outcome.error, epoch);
  }
}

function renderFound(head: KvHead, outcome: KvOutcome & { kind: 'found' }, epoch: number): HttpResponse {
  const revision = String(outcome.revision);
  const notModified = head.ifNoneMatch !== null && noneMatchHolds(head.ifNoneMatch, revision);
  const { contentType } = outcome;
  const headers = [
    'ETag',
    `"${revision}"`,
    'X-Quorate-Version',
    String(outcome.version),
    'X-Quorate-Shard',
    outcome.shard,
    'X-Quorate-Epoch',
    epochText(epoch),
    'X-Content-Type-Options',
    'nosniff',
  ];
  if (outcome.expiresIn_ms !== null)
    headers.push('X-Quorate-Expires-In', String(Math.max(0, Math.ceil(outcome.expiresIn_ms))));
  if (notModified) return { status: 304, headers, body: EMPTY_BODY };
  headers.push('Content-Type', contentType, 'Content-Length', String(outcome.value.length));
  if (contentType !== CONTENT_TYPE_DEFAULT && ACTIVE_CONTENT.test(contentType)) {
    headers.push('Content-Security-Policy', "default-src 'none'; sandbox");
  }
  return { status: 200, headers, body: outcome.value };
}

function renderStored(head: KvHead, outcome: KvOutcome & { kind: 'stored' }, epoch: number): HttpResponse {
  const { revision, version, shard } = outcome;
  const body = `{${keyMembers(head.key)},"revision":"${revision}","version":${version},"shard":${JSON.stringify(shard)}}`;
  const response = jsonResponse(outcome.created ? 201 : 200, body, epoch);
  response.headers.push('ETag', `"${revision}"`);
  return response;
}

function renderPreconditionFailed(outcome: KvOutcome & { kind: 'precondition_failed' }, epoch: number): HttpResponse {
  const { revision, shard } = outcome;
  const detail = revision === null ? 'there is no such key' : `the key exists, at revision ${revision}`;
  const response = problemResponse({ code: 'precondition_failed', detail, shard }, epoch);
  if (revision !== null) response.headers.push('ETag', `"${revision}"`);
  return response;
}
