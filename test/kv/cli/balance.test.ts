/** `status --hot` and `balance`: what a person reads, and what is sent. */
import { describe, expect, test } from 'vitest';
import { CLUSTER } from './cluster-view.js';
import { against, json, problem, type Seen } from './run-cli.js';

const HOT = {
  half_life_s: 60,
  shards: [
    { id: 's1', reads_per_s: 812.5, writes_per_s: 90.25, share: 0.95 },
    { id: 's2', reads_per_s: 40, writes_per_s: 7.51, share: 0.05 },
  ],
  slots: [
    { slot: 5474, shard: 's1', reads_per_s: 700, writes_per_s: 80, share: 0.8206 },
    { slot: 12, shard: 's2', reads_per_s: 9.96, writes_per_s: 0, share: 0.0105 },
  ],
  keys: [
    { key: '{hot}1', key_encoding: 'utf8', slot: 5474, shard: 's1', requests_per_s: 600, error_per_s: 14.2 },
    { key: '/wA=', key_encoding: 'base64', slot: 12, shard: 's2', requests_per_s: 8.04, error_per_s: 2.26 },
  ],
  silent_shards: [],
  silent_nodes: [],
};

const HOT_TABLE = `requests a second, of late (each counts for half after 60 s)

SHARD  READS/S  WRITES/S   SHARE
s1         813        90  95.0 %
s2          40       7.5   5.0 %

SLOT  SHARD  READS/S  WRITES/S   SHARE
5474  s1         700        80  82.1 %
  12  s2        10.0       0.0   1.1 %

KEY       SLOT  SHARD  REQ/S    ±
{hot}1    5474  s1       600   14
\\xff\\x00    12  s2       8.0  2.3
`;

describe('status --hot', () => {
  test('the slots and keys that are asked for most', async () => {
    const { exit, out, seen } = await against(() => json(200, HOT), ['status', '--hot', '--limit', '2']);
    expect([exit, out]).toEqual([0, HOT_TABLE]);
    expect(seen.map(({ target }) => target)).toEqual(['/v1/cluster/hot?limit=2']);
  });

  test('names who has not answered, and shows no empty tables', async () => {
    const quiet = { ...HOT, slots: [], keys: [], silent_nodes: ['n3'], silent_shards: ['s2'] };
    const { out } = await against(() => json(200, quiet), ['status', '--hot']);
    expect(out).toContain('\nwithout n3, the leader of s2: no answer\n');
    expect(out).not.toContain('SLOT');
  });

  test('json and yaml are the answer itself', async () => {
    const inJson = await against(() => json(200, HOT), ['status', '--hot', '-o', 'json']);
    expect(JSON.parse(inJson.out)).toEqual(HOT);
    const inYaml = await against(() => json(200, HOT), ['status', '--hot', '-o', 'yaml']);
    const { parse } = await import('yaml');
    expect(parse(inYaml.out)).toEqual(HOT);
  });

  test.each([
    [['--limit', '5'], '--limit: goes with --hot'],
    [['--hot', '--limit', '0'], '--limit: must be a whole number from 1 to 1000'],
  ])('wrong usage: %j', async (flags, line) => {
    const { exit, err, seen } = await against(() => json(200, HOT), ['status', ...flags]);
    expect([exit, seen.length]).toEqual([2, 0]);
    expect(err).toContain(line);
  });
});

describe('status', () => {
  const shown = async (balance: object | null) =>
    (await against(() => json(200, { ...CLUSTER, balance }), ['status'])).out.split('\n').slice(0, 2);
  const detail = "s1 carries 71 % of the load (fair: 50 %): 'quorate balance' would move 120 slots";

  test.each([
    [{ auto: false, state: 'unbalanced', detail }, detail],
    [{ auto: true, state: 'unbalanced', detail }, `${detail} (by itself, as soon as all is calm)`],
    [{ auto: true, state: 'stuck', detail: 'no help' }, 'no help'],
  ])('says in one line where shards are unbalanced: %j', async (balance, line) => {
    expect(await shown(balance)).toEqual(['shard s2 runs without n2', line]);
  });

  test.each([{ auto: false, state: 'watching', detail }, { auto: true, state: 'balanced', detail }, null])(
    'says nothing of what is balanced, or too short to count, or not known: %j',
    async (balance) => {
      expect((await shown(balance))[1]).toMatch(/^cluster c0ffee/);
    },
  );
});

describe('balance', () => {
  const move = (phase: string) => ({
    id: 'm1',
    slots: '5-7,90',
    slot_count: 4,
    from: 's1',
    to: 's2',
    phase,
    keys: null,
    bytes: null,
    rate: null,
    eta_ms: null,
    pause_ms: null,
    checksum: null,
  });
  const plan = (state: string, moves: object[], more: object = {}) => ({
    id: state === 'planned' ? 'dry-run' : 'p4',
    state,
    created: '2026-11-20T10:00:00Z',
    moves,
    shares: { s1: 8188, s2: 8196 },
    ...more,
  });
  const VIEW = {
    auto: false,
    state: 'unbalanced',
    detail: "s1 carries 71 % of the load (fair: 50 %): 'quorate balance' would move 4 slots",
    limit_percent: 30,
    hold_s: 120,
    overloaded_s: 300,
    shards: [
      { id: 's1', requests_per_s: 710.4, load_share: 0.71, bytes: 2048, bytes_share: 0.5, fair_share: 0.5 },
      { id: 's2', requests_per_s: 290, load_share: 0.29, bytes: 2048, bytes_share: 0.5, fair_share: 0.5 },
    ],
    silent_shards: [],
    plan: plan('planned', [move('planned')]),
  };
  const BALANCED = { ...VIEW, state: 'balanced', detail: 'no shard carries 30 % more', plan: plan('planned', []) };
  const VIEW_TEXT = `s1 carries 71 % of the load (fair: 50 %): 'quorate balance' would move 4 slots
a shard is overloaded at 30 % above its fair share for 2m00s; nothing is moved without being asked for (--auto on)

SHARD  REQ/S    LOAD    BYTES  STORED    FAIR
s1       710  71.0 %  2.0 KiB  50.0 %  50.0 %
s2       290  29.0 %  2.0 KiB  50.0 %  50.0 %
`;
  const PLAN_TEXT = `1 move, 4 slots
MOVE  FROM  TO  COUNT  SLOTS
m1    s1    s2      4  5-7,90
slots afterwards: s1 8188, s2 8196
`;
  const asked = (seen: readonly Seen[]) =>
    seen.map(({ method, target, body }) => [method, target, body.length === 0 ? null : JSON.parse(String(body))]);

  test('--dry-run shows how things stand and what would move, and starts nothing', async () => {
    const { exit, out, seen } = await against(() => json(200, VIEW), ['balance', '--dry-run']);
    expect([exit, out]).toEqual([0, VIEW_TEXT + PLAN_TEXT]);
    expect(asked(seen)).toEqual([['GET', '/v1/admin/balance', null]]);
  });

  test('starts the plan', async () => {
    const { exit, out, seen } = await against(
      ({ method }) => (method === 'GET' ? json(200, VIEW) : json(202, plan('running', [move('waiting')]))),
      ['balance', '--max-pause', '50ms', '--max-rate', '1MiB'],
    );
    expect(exit).toBe(0);
    expect(out).toBe(`${VIEW_TEXT}${PLAN_TEXT}plan p4 running; 'quorate reshard status' shows how far it is\n`);
    expect(asked(seen)).toEqual([
      ['GET', '/v1/admin/balance', null],
      ['POST', '/v1/admin/balance', { dry_run: false, max_pause_ms: 50, max_rate_bytes: 1_048_576 }],
    ]);
  });

  test('with nothing to move shows that, and asks for nothing', async () => {
    const { exit, out, seen } = await against(() => json(200, BALANCED), ['balance']);
    expect([exit, seen.length]).toEqual([0, 1]);
    expect(out).toMatch(/^no shard carries 30 % more\n/);
    const inJson = await against(() => json(200, BALANCED), ['balance', '-o', 'json']);
    expect(JSON.parse(inJson.out)).toEqual(BALANCED.plan);
  });

  test('one document each as json: the view of a dry run, else the plan', async () => {
    const dry = await against(() => json(200, VIEW), ['balance', '--dry-run', '-o', 'json']);
    expect(JSON.parse(dry.out)).toEqual(VIEW);
    const running = plan('running', [move('waiting')]);
    const { out } = await against(
      ({ method }) => (method === 'GET' ? json(200, VIEW) : json(202, running)),
      ['balance', '-o', 'json'],
    );
    expect(JSON.parse(out)).toEqual(running);
  });

  test('a load that has changed in between, and another plan: exit 1', async () => {
    const gone = await against(({ method }) => json(200, method === 'GET' ? VIEW : plan('planned', [])), ['balance']);
    expect([gone.exit, gone.err]).toEqual([
      1,
      'quorate: the load has changed meanwhile, and there is nothing to move any more\n',
    ]);
    const busy = await against(
      ({ method }) => (method === 'GET' ? json(200, VIEW) : problem(409, 'conflict', 'plan p3 is not finished')),
      ['balance'],
    );
    expect([busy.exit, busy.err]).toEqual([
      1,
      "quorate: plan p3 is not finished; 'quorate reshard status' shows what is in progress\n",
    ]);
  });

  test('settings are set, shown, and start nothing', async () => {
    const set = { auto: true, limit_percent: 50, hold_s: 300 };
    const { exit, out, seen } = await against(
      () => json(200, set),
      ['balance', '--auto', 'on', '--limit', '50%', '--hold', '5m'],
    );
    expect([exit, out]).toEqual([
      0,
      'a shard is overloaded at 50 % above its fair share for 5m00s; that is put right by itself\n',
    ]);
    expect(asked(seen)).toEqual([['PUT', '/v1/admin/balance', { auto: true, limit_percent: 50, hold_s: 300 }]]);
    const off = await against(() => json(200, { ...set, auto: false }), ['balance', '--auto', 'off', '-o', 'json']);
    expect(JSON.parse(off.out)).toEqual({ ...set, auto: false });
    expect(asked(off.seen)).toEqual([['PUT', '/v1/admin/balance', { auto: false }]]);
  });

  test.each([
    [['--auto', 'maybe'], 'auto'],
    [['--limit', '5%'], '--limit: must be a whole number from 10 to 1000'],
    [['--limit', 'half'], '--limit: must be'],
    [['--hold', '100ms'], '--hold: must be from 1s to 1d'],
    [['--hold', '2d'], '--hold: must be from 1s to 1d'],
  ])('wrong usage: %j', async (flags, line) => {
    const { exit, err, seen } = await against(() => json(200, VIEW), ['balance', ...flags]);
    expect([exit, seen.length]).toEqual([2, 0]);
    expect(err).toContain(line);
  });

  test('a plan shows what it is for', async () => {
    const cause = 'by itself: s1 carries 71 % of the load';
    const { rows } = await against(
      () => json(200, plan('running', [move('waiting')], { cause, history: [] })),
      [...['reshard', 'status']],
    );
    expect(rows[1]).toEqual([cause]);
  });
});
