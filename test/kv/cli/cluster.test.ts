import { describe, expect, test } from 'vitest';
import { CLUSTER } from './cluster-view.js';
import { against, json, problem, type Seen } from './run-cli.js';

describe('status', () => {
  test('health first, then shards by nodes, then nodes', async () => {
    const { exit, rows, out } = await against(() => json(200, CLUSTER), ['status']);
    expect(exit).toBe(0);
    expect(rows.slice(0, 2)).toEqual([
      ['shard s2 runs without n2'],
      ['cluster c0ffee', 'epoch 4', 'controller n1 (term 1, of n1, n2)'],
    ]);
    expect(rows).toContainEqual(['SHARD', 'STATE', 'SLOTS', 'LEADER', 'TERM', 'KEYS', 'BYTES', 'n1', 'n2']);
    expect(rows).toContainEqual(['s1', 'ok', '8192', 'n1', '2', '10', '2.0 KiB', 'leader 120', 'follower 117 (-3)']);
    expect(out).toMatch(/^s2 +no_leader +8192 +none +- +- +- +down$/m);
    expect(rows).toContainEqual([
      'n2',
      'down',
      '2',
      '0',
      '127.0.0.1:7002',
      '127.0.0.1:7102',
      '-',
      '2026-11-20T10:00:00Z',
    ]);
    // No terminal: no colours.
    expect(out).not.toContain('\u001b');
  });

  test('says of each replica that is missing what becomes of it, those of one fate in one line', async () => {
    const lost = (group: string, reason: string, state = 'blocked') => ({
      group,
      node: 'n2',
      since: '2026-11-20T10:00:00Z',
      state,
      reason,
    });
    const view = {
      ...CLUSTER,
      missing_replicas: [
        lost('controller', 'it is being rebuilt on n4', 'rebuilding'),
        lost('s1', 'rebuild is not allowed (rebuild_after is off): it waits for the node'),
        lost('s2', 'rebuild is not allowed (rebuild_after is off): it waits for the node'),
      ],
    };
    const { exit, rows } = await against(() => json(200, view), ['status']);
    expect(exit).toBe(0);
    expect(rows.slice(0, 4)).toEqual([
      ['shard s2 runs without n2'],
      ['the controller lacks a replica: n2 is down since 2026-11-20T10:00:00Z; it is being rebuilt on n4'],
      [
        's1, s2 lack a replica: n2 is down since 2026-11-20T10:00:00Z; rebuild is not allowed (rebuild_after is off): it waits for the node',
      ],
      ['cluster c0ffee', 'epoch 4', 'controller n1 (term 1, of n1, n2)'],
    ]);
  });

  test('no colours on a pipe, not even where others would', async () => {
    const { out } = await against(() => json(200, CLUSTER), ['status'], { FORCE_COLOR: '1', CI: 'true' });
    expect(out).not.toContain('\u001b');
  });

  test('json and yaml are the answer itself', async () => {
    const inJson = await against(() => json(200, CLUSTER), ['status', '-o', 'json']);
    expect(JSON.parse(inJson.out)).toEqual(CLUSTER);
    const inYaml = await against(() => json(200, CLUSTER), ['status', '-o', 'yaml']);
    const { parse } = await import('yaml');
    expect(parse(inYaml.out)).toEqual(CLUSTER);
  });
});

test('map, also of an earlier epoch', async () => {
  const map = {
    cluster_id: 'c0ffee',
    epoch: 2,
    shards: [{ id: 's1', slots: '0-99,200', members: ['n1', 'n2'] }],
    nodes: [{ id: 'n1', http: 'h:1', peer: 'h:2', labels: {} }],
  };
  const { rows, seen } = await against(() => json(200, map), ['map', '--epoch', '2']);
  expect(seen[0]?.target).toBe('/v1/cluster/map?epoch=2');
  expect(rows).toContainEqual(['SHARD', 'COUNT', 'MEMBERS', 'SLOTS']);
  expect(rows).toContainEqual(['s1', '101', 'n1,n2', '0-99,200']);
});

describe('reshard', () => {
  const move = (id: string, phase: string, more: object = {}) => ({
    id,
    slots: '0-4095',
    slot_count: 4096,
    from: 's1',
    to: 's3',
    phase,
    keys: null,
    bytes: null,
    rate: null,
    eta_ms: null,
    pause_ms: null,
    checksum: null,
    ...more,
  });
  const plan = (state: string, moves: object[], more: object = {}) => ({
    id: '5',
    state,
    created: '2026-11-20T10:00:00Z',
    moves,
    shares: { s1: 8192, s3: 4096 },
    new_shards: [{ id: 's3', members: ['n1', 'n2'] }],
    warnings: ['s3 has two replicas'],
    ...more,
  });
  const DRAFT = plan('planned', [move('m1', 'planned'), move('m2', 'planned')]);
  const DONE = plan('done', [
    move('m1', 'done', { keys: 10, bytes: 1024, pause_ms: 12, checksum: 'ab12' }),
    move('m2', 'done', { keys: 20, bytes: 2048, pause_ms: 8, checksum: 'cd34' }),
  ]);
  const isDryRun = (seen: Seen) => seen.method === 'POST' && JSON.parse(String(seen.body)).dry_run === true;

  test('--dry-run shows the plan and starts nothing', async () => {
    const { exit, rows, err, seen } = await against(() => json(200, DRAFT), ['reshard', '--shards', '3', '--dry-run']);
    expect([exit, err, seen.length]).toEqual([0, 'warning: s3 has two replicas\n', 1]);
    expect(JSON.parse(String(seen[0]?.body))).toEqual({ shards: 3, dry_run: true });
    expect(rows.slice(0, 3)).toEqual([
      ['2 moves, 8192 slots'],
      ['MOVE', 'FROM', 'TO', 'COUNT', 'SLOTS'],
      ['m1', 's1', 's3', '4096', '0-4095'],
    ]);
    expect(rows).toContainEqual(['new shard s3 on n1, n2']);
    expect(rows).toContainEqual(['slots afterwards: s1 8192, s3 4096']);
  });

  test('shows the plan first, then starts it', async () => {
    const args = ['reshard', '--shards', '3', '--replicas', '2', '--max-pause', '50ms', '--max-rate', '10MiB'];
    const running = plan('running', [move('m1', 'waiting')]);
    const { exit, out, seen } = await against((one) => (isDryRun(one) ? json(200, DRAFT) : json(202, running)), args);
    expect(exit).toBe(0);
    expect(seen.map(({ body }) => JSON.parse(String(body)))).toEqual([
      { shards: 3, replicas: 2, dry_run: true, max_pause_ms: 50, max_rate_bytes: 10_485_760 },
      { shards: 3, replicas: 2, dry_run: false, max_pause_ms: 50, max_rate_bytes: 10_485_760 },
    ]);
    expect(out).toMatch(/^2 moves, 8192 slots\n[\s\S]*plan 5 running; 'quorate reshard status' shows how far it is\n$/);
  });

  test('receipts show what each batch has proved, and how long the pauses were', async () => {
    const receipt = (number: number, pause_ms: number, destination_checksum = 'ab') => ({
      number,
      move: 'm1',
      from: 's1',
      to: 's2',
      slots: `${number}`,
      slot_count: 1,
      keys: 10,
      bytes: 2048,
      idempotency_records: 0,
      source_checksum: 'ab',
      destination_checksum,
      freeze_index: 1,
      install_index: 2,
      revision: '3',
      epoch: 4,
      pause_ms,
    });
    const receipts = [receipt(1, 10), receipt(2, 30), receipt(3, 20, 'cd')];
    const answer = (one: Seen) =>
      one.target.includes('/receipts') ? json(200, { id: '5', receipts }) : json(200, plan('done', []));
    const { exit, rows } = await against(answer, ['reshard', 'receipts']);
    expect(exit).toBe(0);
    expect(rows.slice(0, 3)).toEqual([
      ['plan 5: 3 batches, pauses: median 20ms, p99 30ms, longest 30ms'],
      ['NO', 'MOVE', 'FROM', 'TO', 'SLOTS', 'KEYS', 'BYTES', 'PAUSE', 'EPOCH', 'CHECKSUM'],
      ['1', 'm1', 's1', 's2', '1', '10', '2.0 KiB', '10ms', '4', 'ab'],
    ]);
    expect(rows[4]?.at(-1)).toBe('differs');
    const none = await against(
      (one) =>
        one.target.includes('/receipts') ? json(200, { id: '5', receipts: [] }) : json(200, plan('running', [])),
      ['reshard', 'receipts', '5'],
    );
    expect(none.rows[0]).toEqual(['plan 5 has no receipts yet']);
  });

  test('--watch follows it through a pause of the controller to the receipts', async () => {
    const course = [
      json(
        200,
        plan('running', [
          move('m1', 'moving', { keys: 5, bytes: 512, rate: 40, eta_ms: 2_000 }),
          move('m2', 'waiting'),
        ]),
      ),
      problem(503, 'no_leader', 'the controller has no leader'),
      json(200, DONE),
    ];
    const { exit, out, err } = await against(
      (one) => {
        if (one.method === 'POST')
          return isDryRun(one)
            ? json(200, DRAFT)
            : json(202, plan('running', [move('m1', 'waiting'), move('m2', 'waiting')]));
        return course.shift() ?? json(200, DONE);
      },
      ['reshard', '--shards', '3', '--watch'],
    );
    expect(exit).toBe(0);
    expect(err).toContain('m1 s1→s3 moving: 5 keys, 512 B, 40 keys/s, ETA 2.0s\n');
    expect(err).toContain('plan 5 done\n');
    const rows = out.split('\n').map((line) => line.split(/ {2,}/));
    expect(rows).toContainEqual(['m1', 's1', 's3', '4096', 'done', '10', '1.0 KiB', '-', '-', '12ms', 'ab12']);
  });

  test('a plan that fails is exit 1 with its reason', async () => {
    const failed = plan('failed', [move('m1', 'failed')], { reason: 's3 lost its majority' });
    const { exit, err } = await against(
      (one) => {
        if (one.method === 'POST') return isDryRun(one) ? json(200, DRAFT) : json(202, plan('running', []));
        return json(200, failed);
      },
      ['reshard', '--shards', '3', '--watch', '-o', 'json'],
    );
    expect(exit).toBe(1);
    expect(err).toContain("quorate: plan 5 failed: s3 lost its majority; 'quorate status' shows what is wrong\n");
  });

  test('another one in progress, and one that cannot be: exit 1', async () => {
    const busy = await against(() => problem(409, 'conflict', 'plan 4 is running'), ['reshard', '--shards', '3']);
    expect([busy.exit, busy.out, busy.err]).toEqual([
      1,
      '',
      "quorate: plan 4 is running; 'quorate reshard status' shows what is in progress\n",
    ]);
    const impossible = await against(
      () => problem(422, 'plan_impossible', '5 replicas need 5 nodes, there are 3'),
      [...['reshard', '--shards', '3', '--replicas', '5']],
    );
    expect([impossible.exit, impossible.err]).toEqual([1, 'quorate: 5 replicas need 5 nodes, there are 3\n']);
  });

  test('started or not, nobody knows: exit 3, and it is not started twice', async () => {
    const { exit, seen, err } = await against(
      (one) => (isDryRun(one) ? json(200, DRAFT) : problem(504, 'outcome_unknown', 'no answer')),
      [...['reshard', '--shards', '3']],
    );
    expect([exit, seen.length]).toEqual([3, 2]);
    expect(err).toContain('look before you try again');
  });

  test('status', async () => {
    const { rows } = await against(() => json(200, { ...DONE, history: [] }), ['reshard', 'status']);
    expect(rows[0]).toEqual(['plan 5 done', '(2 moves, 8192 slots, created 2026-11-20T10:00:00Z)']);
    const none = await against(() => problem(404, 'not_found', 'no plan'), ['reshard', 'status']);
    expect([none.exit, none.err]).toEqual([1, 'quorate: there has been no reshard yet\n']);
  });

  test('pause steers the latest plan and shows it', async () => {
    const { exit, rows, seen } = await against(
      (one) => json(200, one.method === 'GET' ? DONE : { ...DONE, state: 'paused' }),
      ['reshard', 'pause'],
    );
    expect([exit, rows[0]?.[0]]).toEqual([0, 'plan 5 paused']);
    expect(seen.map(({ method, target }) => [method, target.split('?')[0]])).toEqual([
      ['GET', '/v1/admin/reshard'],
      ['POST', '/v1/admin/reshard/5/pause'],
    ]);
  });

  test.each(['pause', 'resume', 'cancel'])("%s prints the server's refusal", async (action) => {
    const { exit, err, seen } = await against(
      (one) => (one.method === 'GET' ? json(200, DONE) : problem(409, 'conflict', 'plan 5 is over: done')),
      ['reshard', action],
    );
    expect([exit, err]).toEqual([
      1,
      "quorate: plan 5 is over: done; 'quorate reshard status' shows what is in progress\n",
    ]);
    expect(seen[1]?.target).toBe(`/v1/admin/reshard/5/${action}`);
  });

  test('move', async () => {
    const { exit, seen } = await against(
      (one) => json(isDryRun(one) ? 200 : 202, plan('running', [move('m1', 'waiting')])),
      [...['move', '--slots', '0-99,200', '--to', 's3']],
    );
    expect(exit).toBe(0);
    expect(seen.map(({ target, body }) => [target, JSON.parse(String(body))])).toEqual([
      ['/v1/admin/move', { slots: '0-99,200', to: 's3', dry_run: true }],
      ['/v1/admin/move', { slots: '0-99,200', to: 's3', dry_run: false }],
    ]);
  });
});
