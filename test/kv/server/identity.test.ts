import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { holdsLog, openIdentity, rememberPeers, saveIdentity } from '../../../src/kv/server/identity.js';
import { loadNodeConfig, startNode } from '../../../src/kv/server/index.js';
import type { PeerAddress } from '../../../src/raft/index.js';
import { SimCluster } from './sim-cluster.js';

const CONTROLLER = 0;

describe('node.json', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'quorate-identity-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it('keeps what the first start has drawn', () => {
    const data = join(directory, 'not', 'there', 'yet');
    const first = openIdentity(data, 'n1');
    expect(first).toEqual({
      id: 'n1',
      incarnation: expect.stringMatching(/^[0-9a-f]{32}$/),
      clusterId: null,
      peers: new Map(),
    });
    expect(openIdentity(data, 'n1')).toEqual(first);
    saveIdentity(data, { ...first, clusterId: 'c' });
    expect(openIdentity(data, 'n1')).toEqual({ ...first, clusterId: 'c' });
    expect(openIdentity(join(directory, 'other'), 'n1').incarnation).not.toBe(first.incarnation);
  });

  it('remembers where the others are and which disks they have, and is not written for what it knows already', () => {
    const file = join(directory, 'node.json');
    const first = { ...openIdentity(directory, 'n4'), clusterId: 'c' };
    const [n1, n2] = [
      { address: 'h1:7101', incarnation: 'a1' },
      { address: 'h2:7101', incarnation: null },
    ];
    const peers = new Map<string, PeerAddress>([
      ['n2', n2],
      ['n1', n1],
    ]);
    const joined = rememberPeers(directory, first, peers);
    expect(joined).toEqual({ ...first, peers });
    expect(openIdentity(directory, 'n4')).toEqual(joined);
    // Each write is another file in its place.
    const { ino } = statSync(file);
    expect(rememberPeers(directory, joined, new Map([...peers].reverse()))).toBe(joined);
    expect(statSync(file).ino).toBe(ino);

    const moved = rememberPeers(directory, joined, new Map([...peers, ['n2', { ...n2, address: 'h9:7101' }]]));
    expect(openIdentity(directory, 'n4').peers.get('n2')).toEqual({ address: 'h9:7101', incarnation: null });
    const shown = rememberPeers(directory, moved, new Map([...moved.peers, ['n2', { ...n2, incarnation: 'b2' }]]));
    expect(openIdentity(directory, 'n4').peers.get('n2')).toEqual({ address: 'h2:7101', incarnation: 'b2' });
    const fewer = rememberPeers(directory, shown, new Map([['n1', n1]]));
    expect(openIdentity(directory, 'n4').peers).toEqual(new Map([['n1', n1]]));
    rememberPeers(directory, fewer, new Map());
    expect(openIdentity(directory, 'n4').peers).toEqual(new Map());
  });

  it('of a version that knew no disks is understood', () => {
    const incarnation = '0123456789abcdef0123456789abcdef';
    const peers = '"peers":{"n2":"h2:7101"}';
    writeFileSync(
      join(directory, 'node.json'),
      `{"format":1,"id":"n1","incarnation":"${incarnation}","cluster_id":"c",${peers}}`,
    );
    expect(openIdentity(directory, 'n1').peers).toEqual(new Map([['n2', { address: 'h2:7101', incarnation: null }]]));
  });

  it('of a version that remembered nobody is understood', () => {
    const incarnation = '0123456789abcdef0123456789abcdef';
    writeFileSync(
      join(directory, 'node.json'),
      `{"format":1,"id":"n1","incarnation":"${incarnation}","cluster_id":"c"}`,
    );
    expect(openIdentity(directory, 'n1')).toEqual({ id: 'n1', incarnation, clusterId: 'c', peers: new Map() });
  });

  it.each([
    ['no JSON', '{"format":1,'],
    ['another format', '{"format":2,"id":"n1","incarnation":"00000000000000000000000000000000","cluster_id":null}'],
    ['no incarnation', '{"format":1,"id":"n1","cluster_id":null}'],
    [
      'peers that are none',
      '{"format":1,"id":"n1","incarnation":"00000000000000000000000000000000","cluster_id":null,"peers":{"n2":7}}',
    ],
    [
      'more than there should be',
      '{"format":1,"id":"n1","incarnation":"00000000000000000000000000000000","cluster_id":null,"x":1}',
    ],
  ])('with %s in it is refused by its name and left as it is', (_, text) => {
    const file = join(directory, 'node.json');
    writeFileSync(file, text);
    expect(() => openIdentity(directory, 'n1')).toThrow(`${file} is not the identity of a node`);
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  it('of another node is refused', () => {
    openIdentity(directory, 'n1');
    expect(() => openIdentity(directory, 'n2')).toThrow(`${directory} belongs to node n1, not to n2`);
  });

  it('is told from a log that is there, and one that is lost (F25)', () => {
    expect(holdsLog(join(directory, 'log'))).toBe(false);
    mkdirSync(join(directory, 'log', 'lock'), { recursive: true });
    expect(holdsLog(join(directory, 'log'))).toBe(false);
    writeFileSync(join(directory, 'log', '00000001.log'), 'x');
    expect(holdsLog(join(directory, 'log'))).toBe(true);
  });
});

describe('the start of a node', () => {
  const startOf = (directory: string, flags: Record<string, string>) => {
    const listen = { 'listen.http': '127.0.0.1:1', 'listen.peer': '127.0.0.1:2' };
    const loaded = loadNodeConfig({ env: {}, flags: { id: 'n7', data_dir: directory, ...listen, ...flags } });
    if (!loaded.ok) throw new Error(loaded.error);
    return startNode(loaded.config);
  };
  const refusal = (directory: string, flags: Record<string, string>): Promise<string> =>
    startOf(directory, flags).then(
      () => 'none',
      (error: Error) => error.message,
    );

  it('is refused in one line where nothing says which cluster it is of', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'quorate-start-'));
    const line = `${directory} holds no cluster, and the configuration has neither bootstrap, to make one, nor join, to become part of one`;
    try {
      expect(await refusal(directory, {})).toBe(line);
      // Whoever names an address, or has peers from before, comes further: to what is no directory of a log.
      writeFileSync(join(directory, 'log'), '');
      expect(await refusal(directory, {})).toBe(line);
      expect(await refusal(directory, { join: '127.0.0.1:3' })).not.toBe(line);
      rememberPeers(
        directory,
        openIdentity(directory, 'n7'),
        new Map([['n1', { address: '127.0.0.1:3', incarnation: null }]]),
      );
      expect(await refusal(directory, {})).not.toBe(line);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('is refused in one line where it belongs to a cluster and its log is lost (F25)', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'quorate-start-'));
    try {
      const identity = openIdentity(directory, 'n7');
      saveIdentity(directory, { ...identity, clusterId: 'c0ffee' });
      const nodes = 'n1=127.0.0.1:3,n2=127.0.0.1:4,n3=127.0.0.1:5,n7=127.0.0.1:2';
      const starting = startOf(directory, { 'bootstrap.nodes': nodes });
      await expect(starting).rejects.toThrow(/belongs to cluster c0ffee, but its log is lost: .*n7/);
      expect(holdsLog(join(directory, 'log'))).toBe(false);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe('a node that comes back', () => {
  it('with another disk is refused by its peers, gets no vote and no replica (F24, F25)', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2 });
    await cluster.put('n1', 'k', 'v');
    cluster.kill('n3');
    cluster.wipe('n3', 'everything');
    const again = await cluster.start('n3');
    await cluster.scheduler.runFor(10_000);
    expect(cluster.errors.join('\n')).toContain('wrong_incarnation');
    expect(again.maps.epoch).toBe(0);
    expect(again.host.groups()).toEqual([CONTROLLER]);
    expect(cluster.replica('n3', CONTROLLER).applied).toBe(0);
    expect(again.admin.readiness().ready).toBe(false);
    // It is no member of any majority: with n2 gone as well, n1 must not lead on its vote.
    cluster.kill('n2');
    await cluster.scheduler.runFor(10_000);
    expect([0, 1, 2].map((group) => cluster.leaderOf(group))).toEqual([null, null, null]);
    await cluster.start('n2');
    await cluster.until(() => cluster.leaderOf(1) !== null && cluster.leaderOf(2) !== null, 'n1 and n2 to lead');
    expect(await cluster.value('n1', 'k')).toBe('v');
  });

  it('without the log of its replica of the controller does not start (F25)', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 1 });
    cluster.kill('n2');
    cluster.wipe('n2', 'log and states');
    await expect(cluster.start('n2')).rejects.toThrow(/n2 belongs to cluster [0-9a-f]{32}, but its log is lost/);
  });

  it('with an old copy of its disk is found out by the leaders, serves nothing and confirms nothing (F26)', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2, seed: 26 });
    const groups = [1, 2];
    for (let i = 0; i < 20; i++) await cluster.put('n1', `k${i}`, 'old');
    const old = [...cluster.machines.keys()].find((id) => groups.every((group) => cluster.leaderOf(group) !== id))!;
    const others = [...cluster.machines.keys()].filter((id) => id !== old);
    const { disk, engines } = cluster.machine(old);
    cluster.kill(old);
    const files = disk.list().map((name) => [name, Buffer.from(disk.contents(name))] as const);
    const states = engines.copy();
    await cluster.start(old);
    await cluster.untilHealthy();
    for (let i = 0; i < 20; i++) await cluster.put(others[0]!, `k${i}`, 'new');
    // It has confirmed all of that, and forgets it.
    const last = (id: string, group: number): number => cluster.replica(id, group).commit;
    await cluster.until(() => groups.every((group) => last(old, group) === last(others[0]!, group)), 'all to be there');
    cluster.kill(old);
    cluster.wipe(old, 'log and states');
    for (const [name, bytes] of files) cluster.machine(old).disk.put(name, bytes);
    cluster.machine(old).engines.putBack(states);
    await cluster.start(old);
    const { host } = cluster.node(old);
    const lost = (group: number): boolean => host.damaged(group)?.reason.includes('the log lost entries') === true;
    await cluster.until(() => groups.every(lost), 'its replicas to be found out');
    expect(await cluster.value(old, 'k1')).toBe('new');
    // It is no member of any majority: with another one gone, the last must not lead on its vote.
    cluster.kill(others[1]!);
    await cluster.scheduler.runFor(10_000);
    expect(groups.map((group) => cluster.leaderOf(group))).toEqual([null, null]);
    await cluster.start(others[1]!);
    await cluster.until(() => groups.every((group) => cluster.leaderOf(group) !== null), 'the others to lead again');
    for (let i = 0; i < 20; i++) expect(await cluster.value(others[0]!, `k${i}`)).toBe('new');
  });

  it('to the nodes of another cluster is refused by name (F28)', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 1 });
    cluster.kill('n3');
    cluster.machine('n3').clusterId = 'f'.repeat(32);
    const again = await cluster.start('n3');
    await cluster.scheduler.runFor(5_000);
    expect(cluster.errors.join('\n')).toContain('wrong_cluster');
    expect(again.admin.readiness().ready).toBe(false);
    expect(
      cluster
        .replica('n1', 1)
        .status()
        .progress.filter(({ recentActive }) => recentActive).length,
    ).toBeLessThan(3);
  });

  it('and is part of a cluster is not made part of a new one (F28)', async () => {
    const cluster = new SimCluster({ nodes: 3, shards: 1 });
    cluster.machine('n3').clusterId = 'f'.repeat(32);
    for (const id of ['n1', 'n2']) await cluster.start(id);
    await expect(cluster.start('n3')).rejects.toThrow('its log is lost');
    await cluster.scheduler.runFor(10_000);
    expect(cluster.nodes.map((node) => node.maps.epoch)).toEqual([0, 0]);
  });
});
