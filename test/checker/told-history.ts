/**
 * Short histories for tests, drawn as people draw them: one line a client, time from left to right.
 *
 *   a: [put k v1 → stored 5]                [get k → v1 5]
 *   b:        [put k v2 → ?
 *
 * `[` is the call, `]` the return; an operation that ends in `?` is open. `put k v`, `get k`, `delete k`, `append k v`,
 * `add k n`; then perhaps `if=5`, `if=*`, `if-none=*`, `id=x`; then `→` and `stored`, `deleted`, `missing`, `refused` or
 * the value that was found, then perhaps the revision (`none`: told that there was no key) and `v3` for version 3.
 */
import type { Condition, Operation, OperationKind, Outcome } from './history.js';

const OPERATION = /\[(?<request>[^\]→]*)→(?<answer>[^\]?]*)(?<end>[\]?])/g;

export function told(drawing: string): Operation[] {
  const operations: Operation[] = [];
  for (const line of drawing.split('\n')) {
    const client = /^\s*(\w+):/.exec(line)?.[1];
    if (client === undefined) continue;
    for (const match of line.matchAll(OPERATION)) {
      const { request = '', answer = '', end } = match.groups!;
      const done = end === ']';
      const last = match.index + match[0].length;
      const outcome: Outcome = done ? outcomeOf(request, answer.trim()) : { kind: 'unknown', reason: 'no answer' };
      operations.push({
        ...requestOf(request),
        id: operations.length,
        client,
        call: match.index,
        return: done ? last : null,
        outcome,
      });
    }
  }
  return operations.sort((a, b) => a.call - b.call).map((operation, id) => ({ ...operation, id }));
}

function requestOf(text: string): Pick<Operation, 'kind' | 'key' | 'value' | 'condition' | 'idempotencyKey'> {
  const [kind, key, ...rest] = text.trim().split(/\s+/);
  let condition: Condition = { kind: 'none' };
  let idempotencyKey: string | null = null;
  let value: string | null = null;
  for (const word of rest) {
    const [name, setting] = word.split('=');
    if (name === 'if') {
      condition = setting === '*' ? { kind: 'exists' } : { kind: 'revision', revision: Number(setting) };
    } else if (name === 'if-none') condition = { kind: 'absent' };
    else if (name === 'id') idempotencyKey = setting!;
    else value = word;
  }
  return { kind: kind as OperationKind, key: key!, value, condition, idempotencyKey };
}

function outcomeOf(request: string, answer: string): Outcome {
  const [word = '', ...numbers] = answer.split(/\s+/);
  const version = numbers.find((each) => each.startsWith('v'));
  const revision = numbers.find((each) => !each.startsWith('v'));
  const counted = version === undefined ? {} : { version: Number(version.slice(1)) };
  const drawn = revision === undefined ? {} : { revision: Number(revision) };
  switch (word) {
    case 'stored':
      return { kind: 'stored', ...drawn, ...counted };
    case 'deleted':
      return { kind: 'deleted', ...drawn };
    case 'missing':
      return { kind: 'missing' };
    case 'refused':
      return revision === 'none'
        ? { kind: 'precondition_failed', revision: null }
        : { kind: 'precondition_failed', ...drawn };
    default:
      if (!request.trim().startsWith('get')) throw new Error(`invariant: what is the answer ${word}?`);
      return { kind: 'found', value: word, ...drawn, ...counted };
  }
}
