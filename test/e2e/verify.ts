/**
 * Whether the cluster kept what it acknowledged. Reads every key in the end, as operations of the same history, so that the
 * checker judges these reads too; and says in plain words which acknowledged write is missing.
 */
import { QuorateClient } from '../../src/kv/client/index.js';
import type { HistoryRecorder, Operation } from '../checker/history.js';
import { registerModel } from '../checker/register-model.js';
import { checkLinearizable } from '../checker/wgl.js';

export interface LastSeen {
  readonly revision: number;
  readonly value: string;
}

/** null: no such key. */
export type Finals = ReadonlyMap<string, LastSeen | null>;

const READERS = 16;

export async function readAll(
  endpoints: readonly string[],
  keys: readonly string[],
  history: HistoryRecorder,
): Promise<Finals> {
  const client = new QuorateClient({ endpoints, timeout_ms: 20_000 });
  const finals = new Map<string, LastSeen | null>();
  const left = [...keys];
  const reader = async (name: string): Promise<void> => {
    for (let key = left.pop(); key !== undefined; key = left.pop()) {
      const id = history.invoke({ client: name, kind: 'get', key });
      const found = await client.get(key);
      if (found === null) {
        history.ok(id, { kind: 'missing' });
        finals.set(key, null);
      } else {
        const seen = { revision: Number(found.revision), value: String(found.value) };
        history.ok(id, { kind: 'found', ...seen, version: found.version });
        finals.set(key, seen);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: READERS }, (_, i) => reader(`final${i}`)));
  } finally {
    client.close();
  }
  return finals;
}

/** Of all keys that begin so, by one list. */
export async function listedKeys(client: QuorateClient, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of client.list({ prefix, limit: 1_000, keysOnly: true })) keys.push(String(key));
  return keys;
}

const isWrite = (op: Operation): boolean => op.kind === 'put' || op.kind === 'delete';

/** The last acknowledged write of each key that the final state has lost, in words. */
export function missingWrites(operations: readonly Operation[], finals: Finals): readonly string[] {
  const byKey = new Map<string, Operation[]>();
  for (const op of operations.filter(isWrite)) {
    const writes = byKey.get(op.key) ?? [];
    if (writes.push(op) === 1) byKey.set(op.key, writes);
  }
  const missing: string[] = [];
  for (const [key, seen] of finals) {
    const problem = problemOf(byKey.get(key) ?? [], seen);
    if (problem !== null) missing.push(`${key}: ${problem}`);
  }
  return missing;
}

function problemOf(writes: readonly Operation[], seen: LastSeen | null): string | null {
  let last: { readonly op: Operation; readonly revision: number } | null = null;
  for (const op of writes) {
    const { outcome } = op;
    const revision = outcome.kind === 'stored' || outcome.kind === 'deleted' ? (outcome.revision ?? 0) : 0;
    if (revision > (last?.revision ?? 0)) last = { op, revision };
  }
  const told = last === null ? 'nothing' : `${last.op.kind} ${last.op.value ?? ''} at revision ${last.revision}`;
  if (seen === null) {
    if (last === null || last.op.kind === 'delete') return null;
    const perhaps = writes.some((op) => op.kind === 'delete' && op.outcome.kind === 'unknown');
    return perhaps ? null : `acknowledged ${told}, but the key is gone`;
  }
  const source = writes.find((op) => op.kind === 'put' && op.value === seen.value);
  if (source === undefined) return `holds ${seen.value}, which nobody wrote`;
  if (source.outcome.kind === 'failed')
    return `holds ${seen.value}, a write that was refused (${source.outcome.reason})`;
  if (seen.revision < (last?.revision ?? 0)) return `acknowledged ${told}, but it is at revision ${seen.revision}`;
  if (seen.revision === last?.revision && last.op.value !== seen.value)
    return `acknowledged ${told}, but holds ${seen.value}`;
  return null;
}

/** What a whole history shows, as one object for one `expect`. */
export interface Verdict {
  readonly missing: readonly string[];
  /** `linearizable`, or what contradicts it. */
  readonly history: string;
}

export const KEPT: Verdict = { missing: [], history: 'linearizable' };

function judge(history: HistoryRecorder, finals: Finals): Verdict {
  const operations = history.operations();
  const result = checkLinearizable(registerModel, operations);
  const said = result.ok ? 'linearizable' : result.kind === 'violation' ? result.violation.message : result.message;
  return { missing: missingWrites(operations, finals), history: said };
}

/** After the load has stopped: reads every key and judges. */
export async function verdictOn(
  endpoints: readonly string[],
  keys: readonly string[],
  history: HistoryRecorder,
): Promise<Verdict> {
  return judge(history, await readAll(endpoints, keys, history));
}

/** The same by one list of all keys, where there are many. `keys`: as listed. */
export async function verdictByList(
  endpoints: readonly string[],
  prefix: string,
  history: HistoryRecorder,
): Promise<Verdict & { readonly keys: readonly string[] }> {
  const client = new QuorateClient({ endpoints, timeout_ms: 20_000 });
  const finals = new Map<string, LastSeen | null>();
  for (const { key } of history.operations()) finals.set(key, null);
  const keys: string[] = [];
  try {
    for await (const { key, value, revision } of client.list({ prefix, limit: 1_000 })) {
      keys.push(String(key));
      finals.set(String(key), { revision: Number(revision), value: String(value) });
    }
  } finally {
    client.close();
  }
  return { ...judge(history, finals), keys };
}
