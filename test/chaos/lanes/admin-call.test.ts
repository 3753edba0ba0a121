/** What an answer is worth: what the contract allows is a refusal, what it does not is a finding. */
import { describe, expect, it } from 'vitest';
import type { PlainAnswer } from '../../e2e/plain-http.js';
import { type AdminCall, outcomeOf } from './admin-call.js';

const CALL: AdminCall = { method: 'DELETE', path: '/v1/admin/nodes/n1' };
const answer = (status: number, body: string, type = 'application/problem+json'): PlainAnswer => ({
  status,
  headers: { 'content-type': type },
  body: Buffer.from(body),
});
const problem = (status: number, code: string): PlainAnswer => answer(status, JSON.stringify({ code, detail: 'why' }));

describe('an answer to an administrator', () => {
  it('is taken at its word where it says yes', () => {
    expect(outcomeOf(CALL, answer(202, '{"state":"draining"}', 'application/json'))).toEqual({
      kind: 'ok',
      value: { state: 'draining' },
    });
  });

  it('may refuse, or not know', () => {
    expect(outcomeOf(CALL, problem(409, 'conflict'))).toEqual({
      kind: 'refused',
      code: 'conflict',
      why: 'conflict: why',
    });
    expect(outcomeOf(CALL, problem(503, 'no_leader'))).toMatchObject({ kind: 'refused', code: 'no_leader' });
    expect(outcomeOf(CALL, problem(504, 'outcome_unknown'))).toMatchObject({ kind: 'unknown' });
  });

  it('must not be what only this call is never told', () => {
    const told = problem(400, 'invalid_argument');
    expect(outcomeOf(CALL, told)).toMatchObject({ kind: 'strange' });
    expect(outcomeOf({ ...CALL, mayAlso: ['invalid_argument'] }, told)).toMatchObject({ kind: 'refused' });
  });

  it.each([
    ['an internal error', problem(500, 'internal')],
    ['a code that nobody knows', problem(503, 'gremlins')],
    ['no problem at all', answer(503, 'Service Unavailable', 'text/plain')],
    ['a yes that is not JSON', answer(200, '<html>', 'text/html')],
    ['a problem that is not JSON', answer(503, 'oops')],
  ])('must not be %s', (_, strange) => {
    const outcome = outcomeOf(CALL, strange);
    expect(outcome.kind).toBe('strange');
    expect(outcome.kind === 'strange' && outcome.why).toMatch(/^DELETE \/v1\/admin\/nodes\/n1 was answered \d+ /);
  });
});
