/** `quorate verify`: what is asked, printed and said, and with which exit code. */
import { describe, expect, test } from 'vitest';
import type { VerifyDifference, VerifyReplicaView, VerifyShardView, VerifyView } from '../../../src/kv/client/index.js';
import { against, json, problem } from './run-cli.js';

const replica = (node: string, more: Partial<VerifyReplicaView> = {}): VerifyReplicaView => ({
  node,
  state: 'read',
  detail: null,
  index: 120,
  state_hash: 'h',
  keys: 10,
  bytes: 2_048,
  read_bytes: 2_048,
  ...more,
});

const shard = (id: string, more: Partial<VerifyShardView> = {}): VerifyShardView => ({
  id,
  scope: 'records',
  state: 'done',
  index: 120,
  replicas: [replica('n1'), replica('n2'), replica('n3')],
  differences: [],
  ...more,
});

const view = (more: Partial<VerifyView> = {}): VerifyView => ({
  id: 'n1-0a1b2c3d',
  state: 'done',
  result: 'clean',
  started: '2026-11-20T10:00:00.000Z',
  ended: '2026-11-20T10:05:00.000Z',
  mib_per_s: 8,
  shards: [shard('s1')],
  plan: null,
  ...more,
});

const ROTTEN: VerifyDifference = {
  kind: 'rotten',
  nodes: ['n3'],
  slots: '5',
  key: 'users/\u001b42',
  key_encoding: 'utf8',
  detail: 'checksum of the value does not match',
};

const RUNNING = view({ state: 'running', result: null, ended: null });

describe('verify', () => {
  test('only begins, and says where to look', async () => {
    const args = [
      'verify',
      '--shard',
      's1,s2',
      '--shard',
      's3',
      '--plan',
      'p5',
      '--mib-per-s',
      '64',
      '--give-up-after',
      '2h',
    ];
    const { exit, out, err, seen } = await against(() => json(202, RUNNING), args);
    expect([exit, err]).toEqual([0, '']);
    expect(out).toBe("verification n1-0a1b2c3d running; 'quorate verify status n1-0a1b2c3d' shows how far it is\n");
    expect(seen.map(({ method, target, body }) => [method, target, JSON.parse(String(body))])).toEqual([
      ['POST', '/v1/admin/verify', { shards: ['s1', 's2', 's3'], plan: 'p5', mib_per_s: 64, give_up_ms: 7_200_000 }],
    ]);
  });

  test('without flags it is about everything', async () => {
    const { seen } = await against(() => json(202, RUNNING), ['verify']);
    expect(String(seen[0]?.body)).toBe('{}');
  });

  test('--watch follows it to its end: exit 0 where all is clean', async () => {
    const course = [
      view({ ...RUNNING, shards: [shard('s1', { state: 'reading', replicas: [replica('n1', { read_bytes: 100 })] })] }),
      problem(503, 'unavailable', 'a leader is being chosen'),
      view(),
    ];
    const { exit, out, err, seen } = await against(
      (one) => {
        if (one.method === 'POST') return json(202, { ...RUNNING, shards: [] });
        const next = course.shift() ?? view();
        return 'status' in next ? next : json(200, next);
      },
      ['verify', '--watch'],
    );
    expect([exit, out]).toEqual([
      0,
      `verification n1-0a1b2c3d clean

SHARD  SCOPE    INDEX  NODE  STATE  KEYS    BYTES   READ  DETAIL
s1     records    120  n1    read     10  2.0 KiB  100 %  -
s1     records    120  n2    read     10  2.0 KiB  100 %  -
s1     records    120  n3    read     10  2.0 KiB  100 %  -
`,
    ]);
    expect(err).toBe(
      'verification n1-0a1b2c3d has begun; it goes on if you stop watching\ns1 reading\ns1 done: 0 differences\n',
    );
    expect(seen.slice(1).every(({ target }) => target === '/v1/admin/verify/n1-0a1b2c3d')).toBe(true);
  });

  test('a difference is exit 1: which replica, which key, and what to do', async () => {
    const odd = view({ result: 'differences', shards: [shard('s1', { differences: [ROTTEN] }), shard('s2')] });
    const { exit, out, err } = await against(() => json(200, odd), ['verify', 'status', 'n1-0a1b2c3d']);
    expect(exit).toBe(1);
    expect(out.split('\n').slice(-3)).toEqual([
      'WHERE  KIND    NODES  SLOTS  KEY             DETAIL',
      's1     rotten  n3     5      users/\\u001b42  checksum of the value does not match',
      '',
    ]);
    expect(err).toBe(
      "quorate: verification n1-0a1b2c3d found differences: s1 on n3; make that replica anew from the others: 'quorate shards members s1 --remove n3', then 'quorate shards members s1 --add n3'\n",
    );
  });

  test('where more than one replica is to blame a person has to look first', async () => {
    const differences = [ROTTEN, { ...ROTTEN, nodes: ['n2'] }];
    const odd = view({ result: 'differences', shards: [shard('s1', { differences })] });
    const { exit, err } = await against(() => json(200, odd), ['verify', 'status', 'n1-0a1b2c3d']);
    expect([exit, err]).toEqual([
      1,
      'quorate: verification n1-0a1b2c3d found differences: s1 on n2, n3; keep a copy of the data directories before you change anything, and report it\n',
    ]);
  });

  test('what could not be compared is exit 1, and named', async () => {
    const away = replica('n3', { state: 'unanswered', detail: 'n3 is down', keys: null, bytes: null, index: null });
    const short = view({ result: 'incomplete', shards: [shard('s1', { replicas: [replica('n1'), away] })] });
    const { exit, rows, err } = await against(() => json(200, short), ['verify', 'status', 'n1-0a1b2c3d']);
    expect([exit, err]).toEqual([
      1,
      'quorate: verification n1-0a1b2c3d found no difference, but could not compare everything: s1 on n3 (n3 is down); verify again when that is better\n',
    ]);
    expect(rows).toContainEqual(['s1', 'records', '120', 'n3', 'unanswered', '-', '-', '-', 'n3 is down']);
  });

  test('receipts of a plan, with what cannot be said any more', async () => {
    const plan = {
      id: 'p5',
      state: 'done',
      receipts: 12,
      checked: 12,
      keys: 1_000,
      bytes: 1_048_576,
      differences: [
        { ...ROTTEN, kind: 'receipt', nodes: [], key: null, key_encoding: null, detail: 'receipt 3 of m1: …' },
      ],
      unchecked: ['who owns the slots now: p6 is no longer kept'],
    };
    const shards = [shard('s1', { scope: 'slots' })];
    const { exit, out, err } = await against(
      () => json(200, view({ result: 'differences', plan, shards })),
      ['verify', 'status', 'n1-0a1b2c3d'],
    );
    expect(exit).toBe(1);
    expect(out).toContain(`
plan p5 (done): 12 of 12 receipts checked, of 1000 keys and 1.0 MiB
not checked: who owns the slots now: p6 is no longer kept

WHERE    KIND     NODES  SLOTS  KEY  DETAIL
plan p5  receipt  -      5      -    receipt 3 of m1: …
`);
    expect(err).toContain('found differences: plan p5; keep a copy of the data directories');
  });

  test('json and yaml are the answer itself', async () => {
    const inJson = await against(() => json(200, view()), ['verify', 'status', 'x', '-o', 'json']);
    expect(JSON.parse(inJson.out)).toEqual(view());
    const inYaml = await against(() => json(200, view()), ['verify', 'status', 'x', '-o', 'yaml']);
    const { parse } = await import('yaml');
    expect(parse(inYaml.out)).toEqual(view());
  });

  test('status without a name is about the latest', async () => {
    const runs = { runs: [{ id: 'n2-bbbbbbbb', state: 'done', result: 'clean', started: 'now' }], silent: ['n3'] };
    const { exit, err, seen } = await against(
      (one) => json(200, one.target === '/v1/admin/verify' ? runs : view({ id: 'n2-bbbbbbbb' })),
      ['verify', 'status'],
    );
    expect([exit, err]).toEqual([0, 'warning: n3 did not say which verifications they know\n']);
    expect(seen.map(({ target }) => target)).toEqual(['/v1/admin/verify', '/v1/admin/verify/n2-bbbbbbbb']);
  });

  test('list shows what nodes remember', async () => {
    const runs = [
      { id: 'n2-bbbbbbbb', state: 'done', result: 'clean', started: '2026-11-20T10:00:00.000Z' },
      { id: 'n1-aaaaaaaa', state: 'running', result: null, started: '2026-11-19T10:00:00.000Z' },
    ];
    const { exit, rows } = await against(() => json(200, { runs, silent: [] }), ['verify', 'list']);
    expect(exit).toBe(0);
    expect(rows.slice(0, 3)).toEqual([
      ['VERIFICATION', 'STATE', 'RESULT', 'STARTED'],
      ['n2-bbbbbbbb', 'done', 'clean', '2026-11-20T10:00:00.000Z'],
      ['n1-aaaaaaaa', 'running', '-', '2026-11-19T10:00:00.000Z'],
    ]);
  });

  test('cancel ends one', async () => {
    const cancelled = view({ state: 'cancelled', result: 'incomplete' });
    const { exit, out, seen } = await against(() => json(200, cancelled), ['verify', 'cancel', 'n1-0a1b2c3d']);
    expect([exit, out]).toEqual([0, 'verification n1-0a1b2c3d cancelled\n']);
    expect(seen.map(({ method, target }) => [method, target])).toEqual([
      ['POST', '/v1/admin/verify/n1-0a1b2c3d/cancel'],
    ]);
  });

  test('one that is under way, and one that is lost: exit 1, and what to do', async () => {
    const busy = await against(() => problem(409, 'conflict', 'n1 is at a verification already: n1-x'), ['verify']);
    expect([busy.exit, busy.err]).toEqual([
      1,
      "quorate: n1 is at a verification already: n1-x; 'quorate verify list' shows verifications, 'quorate reshard status' the plan\n",
    ]);
    const lost = await against(
      (one) => (one.method === 'POST' ? json(202, RUNNING) : problem(404, 'not_found', 'n1 knows no such one')),
      ['verify', '--watch'],
    );
    expect([lost.exit, lost.err.split('\n').at(-2)]).toEqual([
      1,
      'quorate: verification n1-0a1b2c3d is lost with the node that carried it on: verify again',
    ]);
  });

  test.each<[string[], string]>([
    [['verify', '--shard', 's1,s1'], '--shard: names s1 twice'],
    [['verify', '--mib-per-s', '0'], '--mib-per-s: must be a whole number from 1 to 1024, not "0"'],
    [
      ['verify', '--give-up-after', '5'],
      '--give-up-after: must be a whole number with ms, s, m, h or d (like 50ms), not "5"',
    ],
    [['verify', 'cancel'], 'Not enough non-option arguments: got 0, need at least 1'],
  ])('%j is wrong usage', async (args, line) => {
    const { exit, err } = await against(() => json(200, {}), args);
    expect([exit, err]).toEqual([2, `quorate: ${line} (see 'quorate --help')\n`]);
  });
});
