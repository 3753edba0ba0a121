/** What operations are made of: parameters, bodies and answers, and calls that look like most others. */
import { z } from 'zod';
import { duration, type Json, text } from './json-schema.js';
import { problem } from './problem.js';

export function query(name: string, schema: Json, description: string): Json {
  return { name, in: 'query', schema, description };
}

export function header(name: string, description: string): Json {
  return { name, in: 'header', schema: text, description };
}

export function json(description: string, schema: Json): Json {
  return { description, content: { 'application/json': { schema } } };
}

export function body(schema: Json, required = true): Json {
  return { required, content: { 'application/json': { schema } } };
}

export const id: Json = { name: 'id', in: 'path', required: true, schema: text };
export const enc = query('enc', { const: 'b64url' }, 'Keys in path and query are base64url');
export const timeout = query('timeout', duration, 'How long the request may wait, at most 60s; default 8s');

export function get(summary: string, parameters: readonly Json[], schema: Json): Json {
  return { get: { summary, parameters, responses: { 200: json(summary, schema), default: problem } } };
}

export function post(
  summary: string,
  parameters: readonly Json[],
  schema: z.ZodType,
  status: 200 | 202,
  answer: Json,
): Json {
  const requestBody = body(z.toJSONSchema(schema));
  return { summary, parameters, requestBody, responses: { [status]: answer, default: problem } };
}
