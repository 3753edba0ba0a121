/** Nodes that come and go, members of shards and their leaders: what is asked, waited for, printed and said. */
import { describe, expect, test } from 'vitest';
import { CLUSTER, member } from './cluster-view.js';
import { against, fakeNode, json, problem, runCli, type Seen } from './run-cli.js';

const SINCE = '2026-11-20T10:00:00Z';
const node = (id: string, state: string) => ({
  id,
  http: `127.0.0.1:700${id.slice(1)}`,
  peer: `127.0.0.1:710${id.slice(1)}`,
  labels: {},
  state,
  since: SINCE,
});

/** n1 and n2 are well; `n3` as given, with a replica of each shard named, or not there. */
const view = (
  epoch: number,
  n3: string | null,
  held: readonly string[] = [],
  controller: readonly string[] = ['n1'],
) => ({
  ...CLUSTER,
  epoch,
  nodes: [node('n1', 'healthy'), node('n2', 'healthy'), ...(n3 === null ? [] : [node('n3', n3)])],
  shards: CLUSTER.shards.map((shard) => ({
    ...shard,
    leader: 'n1',
    members: [member('n1', 'leader', 9, 0), ...(held.includes(shard.id) ? [member('n3', 'follower', 9, 0)] : [])],
  })),
  controller: { leader: 'n1', term: 1, members: controller },
});

const asked = (seen: readonly Seen[]) =>
  seen.map(({ method, target, body }) => `${method} ${target}${body.length > 0 ? ` ${body}` : ''}`);

describe('nodes list', () => {
  test('who is there, how, and what each carries', async () => {
    const { exit, rows } = await against(() => json(200, view(4, 'draining', ['s1', 's2'])), ['nodes', 'list']);
    expect(exit).toBe(0);
    expect(rows.slice(0, 4)).toEqual([
      ['NODE', 'STATE', 'REPLICAS', 'LEADS', 'HTTP', 'PEER', 'LABELS', 'SINCE'],
      ['n1', 'healthy', '2', '2', '127.0.0.1:7001', '127.0.0.1:7101', '-', SINCE],
      ['n2', 'healthy', '0', '0', '127.0.0.1:7002', '127.0.0.1:7102', '-', SINCE],
      ['n3', 'draining', '2', '0', '127.0.0.1:7003', '127.0.0.1:7103', '-', SINCE],
    ]);
  });

  test('json is the API’s', async () => {
    const { out } = await against(() => json(200, CLUSTER), ['nodes', 'list', '-o', 'json']);
    expect(JSON.parse(out)).toEqual({ nodes: CLUSTER.nodes });
  });
});

describe('nodes add', () => {
  const args = ['nodes', 'add', '127.0.0.1:7103'];

  test('waits until the cluster shows the node as healthy, through what passes', async () => {
    const course = [json(200, view(5, null)), problem(503, 'unavailable', 'no map'), json(200, view(6, 'down'))];
    const { exit, rows, err, seen } = await against(
      (one) =>
        one.method === 'POST' ? json(200, node('n3', 'down')) : (course.shift() ?? json(200, view(6, 'healthy'))),
      args,
    );
    // No terminal: no progress.
    expect([exit, err]).toEqual([0, '']);
    expect(rows[1]).toEqual(['n3', 'healthy', '0', '0', '127.0.0.1:7003', '127.0.0.1:7103', '-', SINCE]);
    expect(asked(seen).slice(0, 2)).toEqual(['POST /v1/admin/nodes {"peer":"127.0.0.1:7103"}', 'GET /v1/cluster']);
    expect(course).toEqual([]);
  });

  test('--no-wait prints the node as it is', async () => {
    const { exit, out, seen } = await against(
      () => json(200, node('n3', 'down')),
      [...args, '--no-wait', '-o', 'json'],
    );
    expect([exit, JSON.parse(out), seen.length]).toEqual([0, node('n3', 'down'), 1]);
  });

  test('a node that nobody reaches: exit 1, and what to look at', async () => {
    const { exit, out, err } = await against(
      () => problem(503, 'unavailable', 'nobody answers at 127.0.0.1:7103'),
      args,
    );
    expect([exit, out, err]).toEqual([
      1,
      '',
      'quorate: nobody answers at 127.0.0.1:7103; is the node started, with join in its configuration, and is this the address of its peer port?\n',
    ]);
  });

  test('a node that is on its way out is not waited for', async () => {
    const { exit, err } = await against(
      (one) => (one.method === 'POST' ? json(200, node('n3', 'draining')) : json(200, view(5, 'draining', ['s1']))),
      args,
    );
    expect([exit, err]).toEqual([1, 'quorate: n3 is being drained: it leaves the cluster for good\n']);
  });
});

describe('nodes drain', () => {
  const args = ['nodes', 'drain', 'n3'];
  const draining = json(202, node('n3', 'draining'));

  test('waits until the node has left the cluster; an older map is no step back', async () => {
    const course = [
      view(5, 'draining', ['s1', 's2'], ['n1', 'n3']),
      view(6, 'draining', ['s1']),
      view(5, 'draining', ['s1', 's2']),
      view(7, 'draining'),
    ];
    const { exit, out, err, seen } = await against(
      (one) => (one.method === 'DELETE' ? draining : json(200, course.shift() ?? view(8, null))),
      args,
    );
    expect([exit, out, err]).toEqual([0, 'n3 has left the cluster; its process can be stopped\n', '']);
    expect(asked(seen)).toEqual(['DELETE /v1/admin/nodes/n3', ...Array(5).fill('GET /v1/cluster')]);
  });

  test('as json it says gone', async () => {
    const { out } = await against(
      (one) => (one.method === 'DELETE' ? draining : json(200, view(8, null))),
      [...args, '-o', 'json'],
    );
    expect(JSON.parse(out)).toEqual(node('n3', 'gone'));
  });

  test('--no-wait only begins', async () => {
    const { exit, out, seen } = await against(() => draining, [...args, '--no-wait']);
    expect([exit, out, seen.length]).toEqual([0, "n3 draining; 'quorate nodes list' shows what is left on it\n", 1]);
  });

  test('a drain that cannot be: exit 1, why, and what to do', async () => {
    const { exit, err, seen } = await against(
      () => problem(422, 'plan_impossible', 's1 needs 3 nodes, 2 would be left'),
      args,
    );
    expect([exit, err, seen.length]).toEqual([
      1,
      "quorate: s1 needs 3 nodes, 2 would be left; its replicas need another place: add a node first ('quorate nodes add HOST:PORT')\n",
      1,
    ]);
    const unknown = await against(() => problem(404, 'not_found', 'there is no node n3'), args);
    expect([unknown.exit, unknown.err]).toEqual([
      1,
      "quorate: there is no node n3; 'quorate nodes list' shows who belongs to the cluster\n",
    ]);
  });

  test('an answer that got lost is asked for again', async () => {
    const { exit, seen } = await against((one, index) => {
      if (one.method === 'DELETE') return index === 0 ? null : draining;
      return json(200, view(8, null));
    }, args);
    expect([exit, asked(seen).slice(0, 2)]).toEqual([0, Array(2).fill('DELETE /v1/admin/nodes/n3')]);
  });
});

const members = (now: string[], joining: string[] = [], leaving: string[] = [], waits_for: string | null = null) => ({
  id: 's1',
  members: now,
  joining,
  leaving,
  waits_for,
});

describe('shards members', () => {
  const HEAD = ['SHARD', 'MEMBERS', 'JOINING', 'LEAVING', 'WAITS FOR'];
  const begun = members(['n1', 'n2'], ['n3'], ['n1'], 'n3 is being filled');

  test('shows them, and what is under way', async () => {
    const { exit, rows, seen } = await against(() => json(200, begun), ['shards', 'members', 's1']);
    expect([exit, rows.slice(0, 2)]).toEqual([0, [HEAD, ['s1', 'n1,n2', 'n3', 'n1', 'n3 is being filled']]]);
    expect(asked(seen)).toEqual(['GET /v1/admin/shards/s1/members']);
  });

  const change = ['shards', 'members', 's1', '--add', 'n3, n4', '--remove', 'n1'];

  test('begins the change and waits until the members are those asked for', async () => {
    const course = [
      // A node that has not heard of the change yet shows none under way.
      members(['n1', 'n2']),
      members(['n1', 'n2'], ['n3', 'n4'], ['n1'], 'n4 is being filled'),
      members(['n2', 'n3', 'n4'], [], ['n1'], 'n1 is told'),
    ];
    const { exit, rows, err, seen } = await against(
      (one) => (one.method === 'POST' ? json(202, begun) : json(200, course.shift() ?? members(['n2', 'n3', 'n4']))),
      change,
    );
    expect([exit, err, course.length]).toEqual([0, '', 0]);
    expect(rows.slice(0, 2)).toEqual([HEAD, ['s1', 'n2,n3,n4', '-', '-', '-']]);
    expect(asked(seen)[0]).toBe('POST /v1/admin/shards/s1/members {"add":["n3","n4"],"remove":["n1"]}');
  });

  test('F41: warns where two are left', async () => {
    const { exit, err } = await against(
      (one) => json(one.method === 'POST' ? 202 : 200, members(['n1', 'n2'])),
      ['shards', 'members', 's1', '--remove', 'n3'],
    );
    expect([exit, err]).toEqual([
      0,
      'warning: s1 has two replicas: it takes no writes as soon as one of its nodes is away\n',
    ]);
  });

  test('--no-wait prints what has begun', async () => {
    const { exit, out, seen } = await against(() => json(202, begun), [...change, '--no-wait', '-o', 'json']);
    expect([exit, JSON.parse(out), seen.length]).toEqual([0, begun, 1]);
  });

  test('another change under way: exit 1; begun or not, nobody knows: exit 3, and not asked twice', async () => {
    const busy = await against(() => problem(409, 'conflict', 's1 is being changed'), change);
    expect([busy.exit, busy.err]).toEqual([
      1,
      "quorate: s1 is being changed; 'quorate shards members s1' and 'quorate reshard status' show what is in progress\n",
    ]);
    const unknown = await against(() => null, change);
    expect([unknown.exit, unknown.seen.length]).toEqual([3, 1]);
    expect(unknown.err).toMatch(/^quorate: [^\n]+; look at 'quorate shards members s1' before you try again\n$/);
  });
});

describe('shards transfer-leader', () => {
  const args = ['shards', 'transfer-leader', 's1', '--to', 'n2'];

  test('says who leads then', async () => {
    const { exit, out, seen } = await against(() => json(200, { id: 's1', leader: 'n2', term: 4 }), args);
    expect([exit, out]).toEqual([0, 's1  leader n2  term 4\n']);
    expect(asked(seen)).toEqual(['POST /v1/admin/shards/s1/transfer-leader {"to":"n2"}']);
  });

  test('what cannot be is exit 1 in the server’s words', async () => {
    const { exit, out, err } = await against(() => problem(400, 'invalid_argument', 'n2 is no member of s1'), args);
    expect([exit, out, err]).toEqual([1, '', 'quorate: n2 is no member of s1\n']);
  });
});

test('no node at all: the general hint, not the command’s own', async () => {
  const gone = await fakeNode(() => json(200, {}));
  await gone.close();
  const { exit, err } = await runCli(['nodes', 'add', 'h:1', '--endpoints', gone.url, '--timeout', '300ms']);
  expect([exit, err]).toEqual([1, expect.stringMatching(/ECONNREFUSED.*; start a cluster with 'quorate dev'/)]);
});
