/**
 * Histories as JSON lines, for files and other checkers:
 *
 *   {"format":"quorate-history","version":1}
 *   {"id":0,"client":"c1","op":"put","key":"k","value":"a","call":1,"return":4,"outcome":"stored","revision":7}
 *   {"id":1,"client":"c2","op":"get","key":"k","value":"a","call":2,"return":5,"outcome":"found","revision":7}
 *   {"id":2,"client":"c1","op":"put","key":"k","value":"b","if_match":7,"call":6,"return":null,"outcome":"unknown","reason":"timeout"}
 *
 * `value`: what a write writes, or what a get found. `result`: what append and add are known to have left. `if_match` is
 * a revision or "*", `if_none_match` is "*"; `idempotency_key`, `version`, `created` and `reason` where they apply.
 */
import { z } from 'zod';
import { type Condition, type Operation, type Outcome, problemOf } from './history.js';

const FORMAT = 'quorate-history';
const VERSION = 1;

const revision = z.number().int().nonnegative();
const lineSchema = z.strictObject({
  id: z.number().int().nonnegative(),
  client: z.string(),
  op: z.enum(['put', 'get', 'delete', 'append', 'add']),
  key: z.string(),
  value: z.string().nullish(),
  if_match: z.union([revision, z.literal('*')]).optional(),
  if_none_match: z.literal('*').optional(),
  idempotency_key: z.string().optional(),
  call: z.number(),
  return: z.number().nullable(),
  outcome: z.enum(['stored', 'deleted', 'found', 'missing', 'precondition_failed', 'failed', 'unknown']),
  revision: revision.nullish(),
  version: z.number().int().positive().optional(),
  created: z.boolean().optional(),
  result: z.string().optional(),
  reason: z.string().optional(),
});
type Line = z.infer<typeof lineSchema>;

export class HistoryFormatError extends Error {
  override readonly name = 'HistoryFormatError';
}

export function writeHistory(operations: readonly Operation[]): string {
  const head = { format: FORMAT, version: VERSION };
  return `${[head, ...operations.map(toLine)].map((line) => JSON.stringify(line)).join('\n')}\n`;
}

/** Throws `HistoryFormatError`, which names the line. */
export function readHistory(text: string): Operation[] {
  const [head = '', ...lines] = text.split('\n');
  const header = z.looseObject({ format: z.string(), version: z.number() }).safeParse(parse(head, 1));
  if (!header.success || header.data.format !== FORMAT) {
    throw new HistoryFormatError(`line 1: this is no history: it should begin with {"format":"${FORMAT}",…}`);
  }
  if (header.data.version !== VERSION) {
    throw new HistoryFormatError(
      `line 1: history format ${header.data.version} is unknown; this build reads ${VERSION}`,
    );
  }
  if (lines.at(-1) === '') lines.pop();
  const ids = new Set<number>();
  return lines.map((line, index) => {
    const operation = readLine(line, index + 2);
    if (ids.has(operation.id)) throw new HistoryFormatError(`line ${index + 2}: id ${operation.id} stands twice`);
    ids.add(operation.id);
    return operation;
  });
}

function readLine(text: string, number: number): Operation {
  const parsed = lineSchema.safeParse(parse(text, number));
  if (!parsed.success) throw new HistoryFormatError(`line ${number}: ${z.prettifyError(parsed.error)}`);
  const operation = fromLine(parsed.data, number);
  const problem = problemOf(operation);
  if (problem !== null) throw new HistoryFormatError(`line ${number}: ${problem}`);
  return operation;
}

function parse(text: string, number: number): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new HistoryFormatError(`line ${number}: no JSON`);
  }
}

function toLine(operation: Operation): Line {
  const { id, client, kind: op, key, condition, idempotencyKey, call, outcome } = operation;
  const line: Line = { id, client, op, key, call, return: operation.return, outcome: outcome.kind };
  const value = outcome.kind === 'found' ? outcome.value : operation.value;
  if (value !== null) line.value = value;
  if (condition.kind === 'exists') line.if_match = '*';
  if (condition.kind === 'revision') line.if_match = condition.revision;
  if (condition.kind === 'absent') line.if_none_match = '*';
  if (idempotencyKey !== null) line.idempotency_key = idempotencyKey;
  if ('revision' in outcome) line.revision = outcome.revision;
  if ('version' in outcome) line.version = outcome.version;
  if ('created' in outcome) line.created = outcome.created;
  if (outcome.kind === 'stored' && outcome.value !== undefined) line.result = outcome.value;
  if ('reason' in outcome) line.reason = outcome.reason;
  return line;
}

function fromLine(line: Line, number: number): Operation {
  return {
    id: line.id,
    client: line.client,
    kind: line.op,
    key: line.key,
    value: line.op === 'get' ? null : (line.value ?? null),
    condition: conditionOf(line, number),
    idempotencyKey: line.idempotency_key ?? null,
    call: line.call,
    return: line.return,
    outcome: outcomeOf(line, number),
  };
}

function conditionOf({ if_match, if_none_match }: Line, number: number): Condition {
  if (if_match !== undefined && if_none_match !== undefined) {
    throw new HistoryFormatError(`line ${number}: if_match and if_none_match exclude each other`);
  }
  if (if_none_match !== undefined) return { kind: 'absent' };
  if (if_match === undefined) return { kind: 'none' };
  return if_match === '*' ? { kind: 'exists' } : { kind: 'revision', revision: if_match };
}

function outcomeOf(line: Line, number: number): Outcome {
  const { outcome: kind, version, created, result, reason = '' } = line;
  if (line.revision === null && kind !== 'precondition_failed') {
    throw new HistoryFormatError(`line ${number}: only a failed precondition has revision null`);
  }
  const told = typeof line.revision === 'number' ? { revision: line.revision } : {};
  const counted = version === undefined ? {} : { version };
  switch (kind) {
    case 'stored': {
      const made = created === undefined ? {} : { created };
      return { kind, ...told, ...counted, ...made, ...(result === undefined ? {} : { value: result }) };
    }
    case 'deleted':
      return { kind, ...told };
    case 'found':
      if (typeof line.value !== 'string') throw new HistoryFormatError(`line ${number}: found without a value`);
      return { kind, value: line.value, ...told, ...counted };
    case 'missing':
      return { kind };
    case 'precondition_failed':
      return line.revision === undefined ? { kind } : { kind, revision: line.revision };
    case 'failed':
    case 'unknown':
      return { kind, reason };
  }
}
