import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { CLUSTER_REPLICAS_MAX, CLUSTER_SHARDS_MAX } from '../../../src/kv/server/api.js';
import { loadNodeConfig } from '../../../src/kv/server/config.js';
import { REPLICAS_MAX, SHARDS_MAX } from '../../../src/shardctrl/index.js';

const directory = mkdtempSync(join(tmpdir(), 'quorate-config-'));
afterAll(() => rmSync(directory, { recursive: true }));

let files = 0;
function fileOf(text: string): string {
  const name = join(directory, `${++files}.yaml`);
  writeFileSync(name, text);
  return name;
}

/** The example of the contract, to the letter. */
const EXAMPLE = `
id: n1
data_dir: /var/lib/quorate
listen: { http: "127.0.0.1:7001", peer: "127.0.0.1:7101" }
advertise: { http: "127.0.0.1:7001", peer: "127.0.0.1:7101" }   # default: listen
labels: { zone: a }
bootstrap:                       # a new cluster; ignored once data_dir holds one
  nodes: { n1: "127.0.0.1:7101", n2: "127.0.0.1:7102", n3: "127.0.0.1:7103" }
  shards: 2
  replicas: 3
join: []                         # instead of bootstrap: peer addresses of a running cluster
raft: { heartbeat_ms: 100, election_timeout_ms: 1000, snapshot_log_bytes: 67108864 }
limits: { value_bytes: 1048576, inflight_bytes: 67108864 }
`;

const load = (text: string, env: Record<string, string> = {}, flags: Record<string, string> = {}) =>
  loadNodeConfig({ file: fileOf(text), env, flags });

const errorOf = (text: string, env: Record<string, string> = {}, flags: Record<string, string> = {}): string => {
  const loaded = load(text, env, flags);
  return loaded.ok ? 'accepted' : loaded.error;
};

describe('a configuration that holds', () => {
  test("the contract's example, with the defaults of what it leaves out", () => {
    const loaded = load(EXAMPLE);
    expect(loaded).toMatchObject({
      ok: true,
      config: {
        id: 'n1',
        dataDir: '/var/lib/quorate',
        listen: { http: '127.0.0.1:7001', peer: '127.0.0.1:7101' },
        advertise: { http: '127.0.0.1:7001', peer: '127.0.0.1:7101' },
        labels: { zone: 'a' },
        bootstrap: {
          nodes: { n1: '127.0.0.1:7101', n2: '127.0.0.1:7102', n3: '127.0.0.1:7103' },
          shards: 2,
          replicas: 3,
        },
        join: [],
        raft: { heartbeat_ms: 100, electionTimeout_ms: 1000, snapshotLogBytes: 67_108_864 },
        limits: { valueBytes: 1_048_576, inflightBytes: 67_108_864 },
        cors: { origins: [] },
        log: { level: 'info' },
      },
    });
  });

  test('each value says where it came from; flag before environment before file before default', () => {
    const file = fileOf('id: n1\ndata_dir: d\nraft: { heartbeat_ms: 50 }\nlisten: { http: "127.0.0.1:8001" }\n');
    const loaded = loadNodeConfig({
      file,
      env: {
        QUORATE_RAFT_HEARTBEAT_MS: '60',
        QUORATE_LABELS: 'zone=b, host=h1',
        QUORATE_LISTEN_HTTP: '127.0.0.1:8002',
      },
      flags: { 'listen.http': '127.0.0.1:8003' },
    });
    if (!loaded.ok) throw new Error(loaded.error);
    const byPath = Object.fromEntries(loaded.provenance.map(({ path, ...rest }) => [path, rest]));
    expect(byPath['id']).toEqual({ value: 'n1', source: 'file', origin: file });
    expect(byPath['raft.heartbeat_ms']).toEqual({
      value: 60,
      source: 'environment',
      origin: 'QUORATE_RAFT_HEARTBEAT_MS',
    });
    expect(byPath['listen.http']).toEqual({ value: '127.0.0.1:8003', source: 'flag', origin: '--listen-http' });
    expect(byPath['advertise.http']).toEqual({ value: '127.0.0.1:8003', source: 'default', origin: '' });
    expect(byPath['labels']).toMatchObject({ value: { zone: 'b', host: 'h1' }, source: 'environment' });
    expect(byPath['raft.election_timeout_ms']).toEqual({ value: 1000, source: 'default', origin: '' });
    expect(byPath['bootstrap.nodes']).toBeUndefined();
    expect(loaded.config.bootstrap).toBeNull();
  });

  test('the environment alone is enough', () => {
    const loaded = loadNodeConfig({
      env: {
        QUORATE_ID: 'a',
        QUORATE_DATA_DIR: '/d',
        QUORATE_BOOTSTRAP_NODES: 'a=h1:1,b=[::1]:2',
        QUORATE_CORS_ORIGINS: 'https://x.example',
        QUORATE_ENDPOINTS: 'http://127.0.0.1:7001',
        QUORATE_PORT_7001_TCP_ADDR: '10.0.0.1',
        QUORATE_SERVICE_HOST: '10.0.0.1',
      },
      flags: {},
    });
    expect(loaded).toMatchObject({
      ok: true,
      config: {
        bootstrap: { nodes: { a: 'h1:1', b: '[::1]:2' }, shards: 2, replicas: null },
        cors: { origins: ['https://x.example'] },
      },
    });
  });
});

describe('bootstrap.replicas', () => {
  const withNodes = (count: number): string =>
    EXAMPLE.replace(/ {2}replicas: 3\n/, '').replace(
      /nodes: \{.*\}/,
      `nodes: { ${Array.from({ length: count }, (_, i) => `n${i + 1}: "h:${i + 1}"`).join(', ')} }`,
    );
  const shown = (text: string) => {
    const loaded = load(text);
    if (!loaded.ok) throw new Error(loaded.error);
    const { source, value } = loaded.provenance.find(({ path }) => path === 'bootstrap.replicas')!;
    return { given: loaded.config.bootstrap?.replicas, source, value };
  };

  test('that is not given is left to the cluster, and what it begins with is shown', () => {
    expect(shown(withNodes(2))).toEqual({ given: null, source: 'default', value: 2 });
    expect(shown(withNodes(5))).toEqual({ given: null, source: 'default', value: 3 });
  });

  test('that is given is as given', () => {
    expect(shown(EXAMPLE)).toEqual({ given: 3, source: 'file', value: 3 });
    expect(shown(EXAMPLE.replace('replicas: 3', 'replicas: 2'))).toEqual({ given: 2, source: 'file', value: 2 });
  });
});

describe('join', () => {
  const NEWCOMER = 'id: n4\ndata_dir: d\n';

  test('takes the addresses of a running cluster instead of bootstrap', () => {
    expect(load(`${NEWCOMER}join: ["h1:7101", "[::1]:7102"]\n`)).toMatchObject({
      ok: true,
      config: { bootstrap: null, join: ['h1:7101', '[::1]:7102'] },
    });
  });

  test('is set by environment and flag, and shown with its source', () => {
    const joinOf = (env: Record<string, string>, flags: Record<string, string>) => {
      const loaded = load(`${NEWCOMER}join: ["file:1"]\n`, env, flags);
      if (!loaded.ok) throw new Error(loaded.error);
      return loaded.provenance.find(({ path }) => path === 'join');
    };
    const env = { QUORATE_JOIN: 'a:1, b:2' };
    expect(joinOf(env, {})).toEqual({
      path: 'join',
      value: ['a:1', 'b:2'],
      source: 'environment',
      origin: 'QUORATE_JOIN',
    });
    expect(joinOf(env, { join: 'c:3' })).toMatchObject({ value: ['c:3'], source: 'flag', origin: '--join' });
  });

  test('goes with a bootstrap section that names nobody, as where one template serves all nodes', () => {
    const loaded = load(`${NEWCOMER}join: ["h:1"]\nbootstrap: { nodes: {}, shards: 4 }\n`);
    expect(loaded).toMatchObject({ ok: true, config: { bootstrap: null, join: ['h:1'] } });
    if (loaded.ok) expect(loaded.provenance.some(({ path }) => path.startsWith('bootstrap'))).toBe(false);
  });
});

describe('a configuration that cannot be stops with one line that names the field', () => {
  const without = (line: string) => EXAMPLE.replace(new RegExp(`^${line}:.*\\n`, 'm'), '');
  const nodes = (text: string) => EXAMPLE.replace(/nodes: \{.*\}/, `nodes: ${text}`);

  test.each<[string, string, string]>([
    ['unknown field', `${EXAMPLE}colour: red\n`, 'colour: unknown field'],
    ['unknown field in a group', EXAMPLE.replace('heartbeat_ms', 'hartbeat_ms'), 'raft.hartbeat_ms: unknown field'],
    ['missing id', without('id'), 'id: is missing'],
    ['missing data_dir', without('data_dir'), 'data_dir: is missing'],
    ['no directory', EXAMPLE.replace('/var/lib/quorate', '""'), 'data_dir: must name a directory, not ""'],
    ['a number as id', EXAMPLE.replace('id: n1', 'id: 1'), 'id: must be text, not 1'],
    [
      'an id no path could hold',
      EXAMPLE.replace('id: n1', 'id: a/b'),
      'id: must be 1 to 63 letters, digits, dots, dashes or underscores, beginning and ending with a letter or digit, not "a/b"',
    ],
    [
      'text as number',
      EXAMPLE.replace('heartbeat_ms: 100', 'heartbeat_ms: fast'),
      'raft.heartbeat_ms: must be a whole number, not "fast"',
    ],
    [
      'a fraction',
      EXAMPLE.replace('heartbeat_ms: 100', 'heartbeat_ms: 1.5'),
      'raft.heartbeat_ms: must be a whole number, not 1.5',
    ],
    ['a list as group', EXAMPLE.replace(/raft: .*/, 'raft: [1]'), 'raft: must be a group of fields, not a list'],
    ['a value as group', EXAMPLE.replace(/limits: .*/, 'limits: 5'), 'limits: must be a group of fields, not 5'],
    ['an empty group', EXAMPLE.replace(/limits: .*/, 'limits:'), 'limits: must be a group of fields, not nothing'],
    [
      'too many shards',
      EXAMPLE.replace('shards: 2', 'shards: 1025'),
      'bootstrap.shards: must be at most 1024, not 1025',
    ],
    [
      'more replicas than a shard can have',
      EXAMPLE.replace('replicas: 3', 'replicas: 8'),
      'bootstrap.replicas: must be at most 7, not 8',
    ],
    ['no shard', EXAMPLE.replace('shards: 2', 'shards: 0'), 'bootstrap.shards: must be at least 1, not 0'],
    [
      'one replica',
      EXAMPLE.replace('replicas: 3', 'replicas: 1'),
      'bootstrap.replicas: must be at least 2, so that each shard lives on at least two nodes',
    ],
    [
      'more replicas than nodes',
      EXAMPLE.replace('replicas: 3', 'replicas: 4'),
      'bootstrap.replicas: is 4, but bootstrap.nodes names only 3 nodes',
    ],
    [
      'one node',
      nodes('{ n1: "127.0.0.1:7101" }'),
      'bootstrap.nodes: names 1 node(s), but a shard needs at least two nodes',
    ],
    [
      'a cluster without this node',
      EXAMPLE.replace('id: n1', 'id: n9'),
      "bootstrap.nodes: must contain this node's id n9; it names n1, n2, n3",
    ],
    ['one address twice', nodes('{ n1: "h:1", n2: "h:1" }'), 'bootstrap.nodes.n2: has the same address h:1 as n1'],
    [
      'a port out of range',
      nodes('{ n1: "h:1", n2: "h:70000" }'),
      'bootstrap.nodes.n2: must be host:port with a port from 1 to 65535, not "h:70000"',
    ],
    [
      'no port',
      EXAMPLE.replace('http: "127.0.0.1:7001", peer', 'http: "127.0.0.1", peer'),
      'listen.http: must be host:port with a port from 1 to 65535, not "127.0.0.1"',
    ],
    [
      'a slow heartbeat',
      EXAMPLE.replace('heartbeat_ms: 100', 'heartbeat_ms: 500'),
      'raft.heartbeat_ms: must be less than election_timeout_ms / 2',
    ],
    [
      'values that do not fit',
      EXAMPLE.replace('inflight_bytes: 67108864', 'inflight_bytes: 1048576'),
      'limits.inflight_bytes: must be at least twice limits.value_bytes',
    ],
    [
      'one address for two',
      EXAMPLE.replace('peer: "127.0.0.1:7101" }\nadv', 'peer: "127.0.0.1:7001" }\nadv'),
      'listen.peer: is the same address as listen.http (127.0.0.1:7001)',
    ],
    [
      'an address nobody can reach',
      without('advertise').replace('"127.0.0.1:7001"', '"0.0.0.0:7001"'),
      'advertise.http: must be an address that clients can reach, not 0.0.0.0:7001',
    ],
    ['bootstrap and join', EXAMPLE.replace('join: []', 'join: ["h:1"]'), 'join: excludes bootstrap'],
    [
      'no address to join',
      'id: n4\ndata_dir: d\njoin: ["h:1", "h"]\n',
      'join.1: must be host:port with a port from 1 to 65535, not "h"',
    ],
    [
      'one address to join twice',
      'id: n4\ndata_dir: d\njoin: ["h:1", "h:2", "h:1"]\n',
      'join.2: has the same address h:1 as join.0',
    ],
    [
      'too many addresses to join',
      `id: n4\ndata_dir: d\njoin: [${Array.from({ length: 33 }, (_, i) => `"h:${i + 1}"`).join(', ')}]\n`,
      'join: must name at most 32 addresses',
    ],
    ['one address to join', 'id: n4\ndata_dir: d\njoin: "h:1"\n', 'join: must be a list, not "h:1"'],
    [
      'an origin with a path',
      `${EXAMPLE}cors: { origins: ["https://x/y"] }\n`,
      'cors.origins.0: must be an origin like https://console.example.com, without a path, or "*", not "https://x/y"',
    ],
    [
      'a level',
      `${EXAMPLE}log: { level: loud }\n`,
      'log.level: must be one of fatal, error, warn, info, debug, trace, silent, not "loud"',
    ],
  ])('%s', (_name, text, line) => {
    expect(errorOf(text)).toBe(line);
  });

  test('the environment and flags are checked alike, and named', () => {
    expect(errorOf(EXAMPLE, { QUORATE_RAFT_HEARTBEAT_MS: 'x' })).toBe(
      'raft.heartbeat_ms: must be a whole number, not "x" (QUORATE_RAFT_HEARTBEAT_MS)',
    );
    expect(errorOf(EXAMPLE, {}, { labels: 'zone' })).toBe(
      'labels: must look like name=value,name=value, not "zone" (--labels)',
    );
    expect(errorOf(EXAMPLE, { QUORATE_LISTN_HTTP: 'x' })).toBe('QUORATE_LISTN_HTTP: unknown environment variable');
  });

  test('a file that is not there, or is no YAML', () => {
    const missing = loadNodeConfig({ file: join(directory, 'none.yaml'), env: {}, flags: {} });
    expect(missing).toEqual({
      ok: false,
      error: `cannot read the configuration ${join(directory, 'none.yaml')}: there is no such file`,
    });
    expect(errorOf('id: [n1')).toMatch(/^\S+\.yaml:1: no valid YAML: [^\n]+$/);
    expect(errorOf('id: n1\nid: n2\n')).toMatch(/^\S+\.yaml:2: no valid YAML: [^\n]+$/);
    expect(errorOf('- 1\n')).toMatch(/must hold fields like "id: n1"/);
  });
});

test('what the controller can make is what configuration and flags may ask for', () => {
  expect([CLUSTER_SHARDS_MAX, CLUSTER_REPLICAS_MAX]).toEqual([SHARDS_MAX, REPLICAS_MAX]);
  const ids = Array.from({ length: 8 }, (_, i) => `n${i + 1}: "127.0.0.1:${7101 + i}"`);
  const most = EXAMPLE.replace(/nodes: .*/, `nodes: { ${ids.join(', ')} }`)
    .replace('shards: 2', 'shards: 1024')
    .replace('replicas: 3', 'replicas: 7');
  expect(errorOf(most)).toBe('accepted');
});
