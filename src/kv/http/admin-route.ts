/**
 * What a line of the table of routes is, and how its function answers. `admin-routes.ts`, `member-routes.ts`,
 * `settings-routes.ts` and `verify-routes.ts` hold the lines.
 */
import type { AdminService, Answer, KvService } from '../server/api.js';
import { type HttpResponse, jsonResponse, problemResponse, type Refusal, refusalResponse } from './http-response.js';
import type { Query } from './query.js';

export interface AdminRequest {
  readonly query: Query;
  /** The `{id}` of the path. */
  readonly id: string;
  readonly body: unknown;
}

export interface AdminServices {
  readonly kv: KvService;
  readonly admin: AdminService;
}

export interface AdminRoute {
  /** In Express's notation. */
  readonly path: string;
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** Null: any, for probes and scrapers that add their own. */
  readonly parameters: readonly string[] | null;
  /** Whatever the body is, it is neither read nor judged. */
  readonly ignoresBody?: boolean;
  /** Answers late by design. */
  readonly waits?: boolean;
  handle(services: AdminServices, request: AdminRequest): Promise<HttpResponse>;
}

export function respond<T>(services: AdminServices, answer: Answer<T>, status: number): HttpResponse {
  const epoch = services.kv.epoch();
  if (!answer.ok) return problemResponse(answer.error, epoch);
  return jsonResponse(status, JSON.stringify(answer.value), epoch);
}

export async function refused(services: AdminServices, refusal: Refusal): Promise<HttpResponse> {
  return refusalResponse(refusal, services.kv.epoch());
}
