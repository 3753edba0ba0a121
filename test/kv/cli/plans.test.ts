/** Plans as people see them: shares before and after, what is predicted, what becomes of a plan that is cancelled. */
import { describe, expect, test } from 'vitest';
import { CLUSTER } from './cluster-view.js';
import { against, json, problem, type Seen } from './run-cli.js';

const move = (id: string, phase: string, more: object = {}) => ({
  id,
  slots: '0-99,200',
  slot_count: 101,
  from: 's1',
  to: 's3',
  phase,
  keys: 1_200,
  bytes: 3_145_728,
  rate: null,
  eta_ms: null,
  pause_ms: null,
  checksum: null,
  ...more,
});
const share = (shard: string, more: object = {}) => ({
  shard,
  weight: 1,
  excluded: false,
  slots_before: 100,
  slots_after: 100,
  keys_before: 10,
  keys_after: 10,
  bytes_before: 2_048,
  bytes_after: 2_048,
  ...more,
});
const plan = (state: string, moves: object[], more: object = {}) => ({
  id: 'p5',
  state,
  created: '2026-11-20T10:00:00Z',
  moves,
  ...more,
});
const DRAFT = plan('planned', [move('m1', 'planned')], {
  shares: { s1: 8_091, s2: 8_192, s3: 101 },
  new_shards: [
    {
      id: 's3',
      members: ['n1', 'n3'],
      placement: [
        { node: 'n1', zone: 'a', host: 'h1', leads: true },
        { node: 'n3', zone: null, host: null, leads: false },
      ],
    },
  ],
  by: 'bytes',
  excluded_shards: ['s2'],
  excluded_nodes: ['n2'],
  balance: [
    share('s1', { weight: 2, slots_before: 8_192, slots_after: 8_091, keys_before: 1_300, keys_after: 100 }),
    share('s2', { excluded: true, keys_before: null, keys_after: null, bytes_before: null, bytes_after: null }),
    share('s3', { slots_before: 0, slots_after: 101, bytes_before: 0, bytes_after: 3_145_728 }),
  ],
  predicted: {
    time_ms: 4_200,
    pause_ms: 45,
    pause_ms_max: 130,
    batches: 3,
    basis: 'measured',
    from: 'as plan p4 went, by its 87 receipts: 60 ms a batch and 9000 keys/s or 8.0 MiB/s',
  },
});
const isDryRun = (seen: Seen): boolean => seen.method === 'POST' && JSON.parse(String(seen.body)).dry_run === true;
const WISH = ['--by', 'bytes', '--weight', 's1=2', '--exclude-shard', 's2', '--exclude-node', 'n2'];

describe('reshard --dry-run', () => {
  const args = ['reshard', '--shards', '3', '--dry-run', ...WISH];

  test('shows moves, shares before and after, placement, and what is predicted from what', async () => {
    const { exit, out, err } = await against(() => json(200, DRAFT), args);
    expect([exit, err]).toEqual([0, '']);
    expect(out).toBe(
      [
        '1 move, 101 slots; shares of bytes; neither give nor take: s2; get no replica of a new shard: n2',
        'MOVE  FROM  TO  COUNT  KEYS    BYTES  SLOTS',
        'm1    s1    s3    101  1200  3.0 MiB  0-99,200',
        'new shard s3 on n1 (zone a, host h1, leads), n3',
        'slots afterwards: s1 8091, s2 8192, s3 101',
        'SHARD  WEIGHT        SLOTS        KEYS          BYTES  NOTE',
        's1          2  8192 → 8091  1300 → 100        2.0 KiB',
        's2          1          100           -              -  excluded',
        's3          1      0 → 101          10  0 B → 3.0 MiB  new',
        'predicted: 4.2s or so in 3 batches; slots pause for 45ms or so, 130ms at most (as plan p4 went, by its 87 receipts: 60 ms a batch and 9000 keys/s or 8.0 MiB/s)',
        '',
      ].join('\n'),
    );
  });

  test('as json and yaml it is the API’s', async () => {
    const inJson = await against(() => json(200, DRAFT), [...args, '-o', 'json']);
    expect(JSON.parse(inJson.out)).toEqual(DRAFT);
    const { parse } = await import('yaml');
    const inYaml = await against(() => json(200, DRAFT), [...args, '-o', 'yaml']);
    expect(parse(inYaml.out)).toEqual(DRAFT);
  });

  test('what is not known is said', async () => {
    const from = 'not known: some shards did not tell what their slots hold; defaults';
    const nothing = { time_ms: null, pause_ms: null, pause_ms_max: null, batches: null, basis: 'defaults', from };
    const draft = plan('planned', [move('m1', 'planned', { keys: null, bytes: null })], { predicted: nothing });
    const { rows } = await against(() => json(200, draft), args);
    expect(rows[1]).toEqual(['MOVE', 'FROM', 'TO', 'COUNT', 'SLOTS']);
    expect(rows).toContainEqual([`predicted: ${from}`]);
  });
});

describe('what is asked', () => {
  const bodies = (seen: readonly Seen[]): unknown[] => seen.map(({ body }) => JSON.parse(String(body)));

  test('the plan that is started is the one that was shown', async () => {
    const { exit, seen } = await against(
      (one) => (isDryRun(one) ? json(200, DRAFT) : json(202, plan('running', [move('m1', 'waiting')]))),
      ['reshard', '--shards', '3', ...WISH],
    );
    expect(exit).toBe(0);
    const wish = { by: 'bytes', weights: { s1: 2 }, exclude_shards: ['s2'], exclude_nodes: ['n2'] };
    expect(bodies(seen)).toEqual([
      { shards: 3, dry_run: true, ...wish },
      { shards: 3, dry_run: false, ...wish },
    ]);
  });

  test('a plan that came out differently is shown again', async () => {
    const other = plan('running', [move('m1', 'waiting', { slots: '0-49', slot_count: 50 })]);
    const { rows, err } = await against(
      (one) => (isDryRun(one) ? json(200, DRAFT) : json(202, other)),
      ['reshard', '--shards', '3', '--by', 'bytes'],
    );
    expect(err).toBe('warning: the cluster has changed meanwhile: this is the plan that was started\n');
    expect(rows).toContainEqual(['1 move, 50 slots']);
  });

  test('flags may be given several times, or with commas', async () => {
    const { seen } = await against(
      () => json(200, DRAFT),
      [
        ...['reshard', '--shards', '3', '--dry-run', '--weight', 's1=2,s2=0.5', '--weight=s3=4'],
        ...['--exclude-shard', 's4', '--exclude-shard', 's5', '--exclude-node=n1,n2', '--exclude-node', 'n3'],
      ],
    );
    expect(bodies(seen)).toEqual([
      {
        shards: 3,
        dry_run: true,
        weights: { s1: 2, s2: 0.5, s3: 4 },
        exclude_shards: ['s4', 's5'],
        exclude_nodes: ['n1', 'n2', 'n3'],
      },
    ]);
  });

  test.each([
    [['--by', 'size'], /by/],
    [['--weight', 's1'], /--weight: must be names with a number above 0/],
    [['--weight', 's1=0'], /--weight/],
    [['--weight', 's1=2', '--weight', 's1=3'], /--weight: names s1 twice/],
    [['--weight', '--watch'], /weight/],
    [['--exclude-shard', 's1,,s2'], /--exclude-shard/],
    [['--exclude-node', 'n1', '--exclude-node', 'n1'], /--exclude-node: names n1 twice/],
  ])('%j is wrong usage', async (flags, line) => {
    const { exit, err, seen } = await against(() => json(200, DRAFT), ['reshard', '--shards', '3', ...flags]);
    expect([exit, seen.length]).toEqual([2, 0]);
    expect(err).toMatch(line);
  });
});

describe('reshard cancel', () => {
  const slots = (slot_count: number) => ({ slots: slot_count === 0 ? '' : `0-${slot_count - 1}`, slot_count });
  const ending = (outcome: string, [forward, undoing, undone, not_begun]: readonly number[], why: string) => ({
    outcome,
    forward: slots(forward!),
    undoing: slots(undoing!),
    undone: slots(undone!),
    not_begun: slots(not_begun!),
    why,
  });
  const RUNNING = plan('running', [move('m1', 'moving'), move('m2', 'waiting')]);
  const REASON = { reason: 'cancelled by request' };
  const ASKED = plan(
    'running',
    [
      move('m1', 'moving', { ending: ending('undoing', [50, 20, 0, 31], '20 slots on the way go back to s1') }),
      move('m2', 'waiting', { ending: ending('undone', [0, 0, 0, 101], '101 slots had not begun and stay at s1') }),
    ],
    REASON,
  );
  const OVER = plan(
    'cancelled',
    [
      move('m1', 'cancelled', { ending: ending('forward', [50, 0, 20, 31], '50 slots had been installed') }),
      move('m2', 'cancelled', { ending: ending('undone', [0, 0, 0, 101], '101 slots had not begun and stay at s1') }),
    ],
    REASON,
  );
  const HEAD = ['MOVE', 'FROM', 'TO', 'OUTCOME', 'FORWARD', 'UNDOING', 'UNDONE', 'NOT BEGUN', 'WHY'];
  const M2 = ['m2', 's1', 's3', 'undone', '0', '0', '0', '101', '101 slots had not begun and stay at s1'];

  test('says move by move what becomes of it', async () => {
    const { exit, rows, seen } = await against(
      (one) => json(200, one.method === 'GET' ? RUNNING : ASKED),
      [...['reshard', 'cancel']],
    );
    expect(exit).toBe(0);
    expect(rows.slice(0, 4)).toEqual([
      ['plan p5 running: cancelled by request'],
      HEAD,
      ['m1', 's1', 's3', 'undoing', '50', '20', '0', '31', '20 slots on the way go back to s1'],
      M2,
    ]);
    expect(seen.map(({ method, target }) => `${method} ${target}`)).toEqual([
      'GET /v1/admin/reshard',
      'POST /v1/admin/reshard/p5/cancel',
    ]);
  });

  test('--watch follows it until it is over, and says again what became of it', async () => {
    const course = [json(200, ASKED), problem(503, 'no_leader', 'the controller has no leader')];
    const { exit, rows, err } = await against(
      (one) => (one.method === 'POST' ? json(200, ASKED) : (course.shift() ?? json(200, OVER))),
      ['reshard', 'cancel', 'p5', '--watch'],
    );
    expect(exit).toBe(0);
    expect(rows.map(([first]) => first)).toEqual([
      'plan p5 running: cancelled by request',
      'MOVE',
      'm1',
      'm2',
      'plan p5 cancelled: cancelled by request',
      'MOVE',
      'm1',
      'm2',
      '',
    ]);
    expect(rows[6]).toEqual(['m1', 's1', 's3', 'forward', '50', '0', '20', '31', '50 slots had been installed']);
    expect(err).toContain('plan p5 cancelled: cancelled by request\n');
    expect(course).toEqual([]);
  });

  test('as json it is the plan, once', async () => {
    const { out } = await against(
      (one) => json(200, one.method === 'POST' ? ASKED : OVER),
      [...['reshard', 'cancel', 'p5', '--watch', '-o', 'json']],
    );
    expect(JSON.parse(out)).toEqual(OVER);
  });

  test('status says it, too', async () => {
    const { rows } = await against(() => json(200, { ...OVER, history: [] }), ['reshard', 'status']);
    expect(rows).toContainEqual(HEAD);
    expect(rows).toContainEqual(M2);
  });
});

describe('weights', () => {
  const weighed = CLUSTER.shards.map((shard, i) => ({ ...shard, weight: i + 1 }));

  test('are shown by status and map where somebody has given one', async () => {
    const status = await against(() => json(200, { ...CLUSTER, shards: weighed }), ['status']);
    const head = status.rows.find(([first]) => first === 'SHARD')!;
    expect(head.slice(0, 4)).toEqual(['SHARD', 'STATE', 'SLOTS', 'WEIGHT']);
    expect(status.rows).toContainEqual(expect.arrayContaining(['s2', 'no_leader', '8192', '2']));
    const map = {
      cluster_id: 'c0ffee',
      epoch: 2,
      shards: [
        { id: 's1', slots: '0-99,200', members: ['n1', 'n2'], weight: 1 },
        { id: 's2', slots: '', members: ['n1'], weight: 0.5 },
      ],
      nodes: [],
    };
    const { rows } = await against(() => json(200, map), ['map']);
    expect(rows).toContainEqual(['SHARD', 'COUNT', 'WEIGHT', 'MEMBERS', 'SLOTS']);
    expect(rows).toContainEqual(['s2', '0', '0.5', 'n1', '-']);
  });

  test('and not where all are as they were', async () => {
    const { out } = await against(() => json(200, CLUSTER), ['status']);
    expect(out).not.toContain('WEIGHT');
  });
});
