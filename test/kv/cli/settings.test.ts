/** What is set for the whole cluster, on the command line. */
import { describe, expect, test } from 'vitest';
import { against, json, problem, type Seen } from './run-cli.js';

const asked = (seen: readonly Seen[]) =>
  seen.map(({ method, target, body }) => `${method} ${target}${body.length > 0 ? ` ${body}` : ''}`);

const HEAD = ['SETTING', 'VALUE', 'MEANING'];
const OFF = ['rebuild-after', 'off', 'replicas of a node that stays away are not made anew elsewhere'];
const ON = ['rebuild-after', '10m', 'replicas of a node that is down for 10m are made anew elsewhere'];

describe('settings', () => {
  test('shows what is set', async () => {
    const off = await against(() => json(200, { rebuild_after: null }), ['settings']);
    expect([off.exit, off.rows.slice(0, 2), asked(off.seen)]).toEqual([0, [HEAD, OFF], ['GET /v1/admin/settings']]);
    const on = await against(() => json(200, { rebuild_after: '10m' }), ['settings', '-o', 'json']);
    expect(JSON.parse(on.out)).toEqual({ rebuild_after: '10m' });
  });

  test('sets it, and shows what is in force', async () => {
    const on = await against(() => json(200, { rebuild_after: '10m' }), ['settings', 'rebuild-after=10m']);
    expect([on.exit, on.rows.slice(0, 2)]).toEqual([0, [HEAD, ON]]);
    expect(asked(on.seen)).toEqual(['PUT /v1/admin/settings {"rebuild_after":"10m"}']);
    const off = await against(() => json(200, { rebuild_after: null }), ['settings', 'rebuild-after=off']);
    expect([off.exit, off.rows.slice(0, 2)]).toEqual([0, [HEAD, OFF]]);
    expect(asked(off.seen)).toEqual(['PUT /v1/admin/settings {"rebuild_after":null}']);
  });

  test('an answer that got lost is asked for again: it is a state, not a step', async () => {
    const { exit, seen } = await against(
      (_, index) => (index === 0 ? null : json(200, { rebuild_after: '10m' })),
      ['settings', 'rebuild-after=10m'],
    );
    expect([exit, seen.length]).toEqual([0, 2]);
  });

  test('what cannot be is exit 1 in the server’s words', async () => {
    const { exit, out, err } = await against(
      () => problem(400, 'invalid_body', 'rebuild_after: must be null, or a duration like "10m", from 1s to 36500d'),
      ['settings', 'rebuild-after=1ms'],
    );
    expect([exit, out, err]).toEqual([
      1,
      '',
      'quorate: rebuild_after: must be null, or a duration like "10m", from 1s to 36500d\n',
    ]);
  });
});
