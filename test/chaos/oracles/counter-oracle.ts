/**
 * Every increment counted exactly once: what the model of a counter cannot see, because it knows nothing of versions, idempotency keys
 * and who was told what.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Answer, describeOperation, type Operation } from '../../checker/history.js';

/** The same request under the same idempotency key, answered twice. */
export interface RepeatedWrite {
  readonly key: string;
  readonly idempotencyKey: string;
  readonly answers: readonly [Answer, Answer];
}

export function judgeCounter(operations: readonly Operation[], repeated: readonly RepeatedWrite[]): readonly string[] {
  return [
    ...operations.flatMap(versionComplaint),
    ...sharedIncrements(operations),
    ...finalComplaints(operations),
    ...repeated
      .filter(({ answers: [first, second] }) => !isDeepStrictEqual(first, second))
      .map(
        ({ key, idempotencyKey, answers }) =>
          `${key}: idempotency key ${idempotencyKey} was answered ${answers.map((each) => JSON.stringify(each)).join(' and then ')}`,
      ),
  ];
}

/** The counter is never deleted and every write adds one: version and value are the same number. */
function versionComplaint(operation: Operation): string[] {
  const { key, outcome } = operation;
  if (outcome.kind !== 'found' || outcome.version === undefined || outcome.version === Number(outcome.value)) return [];
  return [
    `${key}: ${outcome.version} writes took effect, but the counter shows ${outcome.value}:\n  ${describeOperation(operation)}`,
  ];
}

/** Two clients that were both told that they raised it to the same number: one increment is lost. */
function sharedIncrements(operations: readonly Operation[]): string[] {
  const raised = new Map<string, Operation>();
  return operations.flatMap((operation) => {
    const { kind, key, outcome } = operation;
    if (kind !== 'add' || outcome.kind !== 'stored') return [];
    const place = `${key} ${outcome.value}`;
    const other = raised.get(place);
    raised.set(place, operation);
    if (other === undefined) return [];
    const both = [other, operation].map((each) => `  ${describeOperation(each)}`).join('\n');
    return [`${key}: two increments led to the same number:\n${both}`];
  });
}

/** The last read of each key lies between the increments acknowledged before it and those that may have happened by then. */
function finalComplaints(operations: readonly Operation[]): string[] {
  const last = new Map<string, Operation>();
  for (const operation of operations) {
    const { kind, outcome, key } = operation;
    if (kind === 'get' && (outcome.kind === 'found' || outcome.kind === 'missing')) last.set(key, operation);
  }
  return [...last].flatMap(([key, read]) => {
    const adds = operations.filter((each) => each.key === key && each.kind === 'add' && each.outcome.kind !== 'failed');
    const least = adds.filter((add) => add.return !== null && add.return < read.call).length;
    const most = adds.filter((add) => add.call < read.return!).length;
    const shown = read.outcome.kind === 'found' ? Number(read.outcome.value) : 0;
    if (shown >= least && shown <= most) return [];
    return [
      `${key}: ${least} increments were acknowledged, ${most} were tried, but it shows ${shown}:\n  ${describeOperation(read)}`,
    ];
  });
}
