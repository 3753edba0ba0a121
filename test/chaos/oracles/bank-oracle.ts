/** No money appears or vanishes, and no account is overdrawn, in whatever anybody reads. */
import { z } from 'zod';
import { describeOperation, type Operation } from '../../checker/history.js';

export const ACCOUNTS = 8;
export const OPENING_BALANCE = 100;

const bank = z.object({ transfer: z.string(), balances: z.array(z.int()).length(ACCOUNTS) });

export function judgeBank(operations: readonly Operation[]): readonly string[] {
  return operations.flatMap((operation) => {
    const { outcome } = operation;
    if (outcome.kind === 'missing') return [`the bank is gone:\n  ${describeOperation(operation)}`];
    if (outcome.kind !== 'found') return [];
    const problem = problemOf(outcome.value);
    return problem === null ? [] : [`${problem}:\n  ${describeOperation(operation)}`];
  });
}

function problemOf(value: string): string | null {
  let read: unknown;
  try {
    read = JSON.parse(value);
  } catch {
    return 'what is read is no bank';
  }
  const parsed = bank.safeParse(read);
  if (!parsed.success) return 'what is read is no bank';
  const { balances } = parsed.data;
  const sum = balances.reduce((total, balance) => total + balance, 0);
  if (sum !== ACCOUNTS * OPENING_BALANCE) return `the accounts hold ${sum}, not ${ACCOUNTS * OPENING_BALANCE}`;
  return balances.some((balance) => balance < 0) ? 'an account is overdrawn' : null;
}
