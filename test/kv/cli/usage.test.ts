import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { PROGRAM } from '../../e2e/program.js';
import { cleanEnvironment, fakeNode, json, runCli } from './run-cli.js';

const HELP = " (see 'quorate --help')\n";

describe('wrong usage is exit 2 and one line', () => {
  test.each<[string[], string]>([
    [[], `quorate: name a command${HELP}`],
    [['frobnicate'], `quorate: Unknown argument: frobnicate${HELP}`],
    [['put', 'k', 'v', '--colour', 'red'], `quorate: Unknown argument: colour${HELP}`],
    [['put'], `quorate: Not enough non-option arguments: got 0, need at least 1${HELP}`],
    [
      ['put', 'k', 'v', '--ttl', '5'],
      `quorate: --ttl: must be a whole number with ms, s, m, h or d (like 50ms), not "5"${HELP}`,
    ],
    [
      ['put', 'k', 'v', '--if-match', '1', '--if-none-match', '*'],
      `quorate: --if-match and --if-none-match exclude each other${HELP}`,
    ],
    [['get', 'a', 'b'], `quorate: Unknown argument: b${HELP}`],
    [['get', 'a!', '--enc', 'b64url'], `quorate: --enc b64url: "a!" is not base64url${HELP}`],
    [
      ['get', 'k', '--endpoints', 'ftp://x'],
      `quorate: --endpoints: "ftp://x" must look like http://127.0.0.1:7001${HELP}`,
    ],
    [
      ['reshard'],
      `quorate: --shards: say how many there are to be, or name status, receipts, pause, resume or cancel${HELP}`,
    ],
    [['reshard', '--shards', '0'], `quorate: --shards: must be a whole number from 1 to 1024, not "0"${HELP}`],
    [['reshard', '--shards', '1025'], `quorate: --shards: must be a whole number from 1 to 1024, not "1025"${HELP}`],
    [
      ['reshard', '--shards', '4', '--replicas', '8'],
      `quorate: --replicas: must be a whole number from 2 to 7, not "8"${HELP}`,
    ],
    [['move', '--to', 's2'], `quorate: Missing required argument: slots${HELP}`],
    [['nodes'], `quorate: name what to do: list, add or drain${HELP}`],
    [['nodes', 'add'], `quorate: Not enough non-option arguments: got 0, need at least 1${HELP}`],
    [['nodes', 'add', 'n4'], `quorate: peer: must be host:port, not "n4"${HELP}`],
    [['nodes', 'drain', 'n4', 'n5'], `quorate: Unknown argument: n5${HELP}`],
    [['shards'], `quorate: name what to do: members or transfer-leader${HELP}`],
    [['shards', 'transfer-leader', 's1'], `quorate: Missing required argument: to${HELP}`],
    [['shards', 'members', 's1', '--add', 'n4,n4'], `quorate: --add: names n4 twice${HELP}`],
    [['shards', 'members', 's1', '--add', 'n4', '--remove', 'n4'], `quorate: --remove: names n4 twice${HELP}`],
    [
      ['shards', 'members', 's1', '--add', 'n4,'],
      `quorate: --add: must be names separated by commas, not "n4,"${HELP}`,
    ],
    [
      ['settings', 'rebuild-after'],
      `quorate: settings: must look like rebuild-after=10m or rebuild-after=off, not "rebuild-after"${HELP}`,
    ],
    [
      ['settings', 'colour=red'],
      `quorate: settings: must look like rebuild-after=10m or rebuild-after=off, not "colour=red"${HELP}`,
    ],
    [
      ['settings', 'rebuild-after=soon'],
      `quorate: rebuild-after: must be a whole number with ms, s, m, h or d (like 50ms), not "soon"${HELP}`,
    ],
    [
      ['dev', '--nodes', '1'],
      `quorate: --nodes: a cluster needs at least two nodes, so that a shard lives on two${HELP}`,
    ],
    [['dev', '--shards', '1025'], `quorate: --shards: must be a whole number from 1 to 1024, not "1025"${HELP}`],
    [
      ['dev', '--nodes', '8', '--replicas', '8'],
      `quorate: --replicas: must be a whole number from 2 to 7, not "8"${HELP}`,
    ],
    [['dev', '--nodes', '2', '--replicas', '3'], `quorate: --replicas: is 3, but there are only 2 nodes${HELP}`],
  ])('%j', async (args, err) => {
    expect(await runCli(args)).toMatchObject({ exit: 2, out: '', err });
  });

  test('a format that does not exist', async () => {
    const { exit, err } = await runCli(['status', '-o', 'xml']);
    expect([exit, err.split('\n')]).toEqual([
      2,
      [expect.stringMatching(/"xml", Choices: "table", "json", "yaml"/), ''],
    ]);
  });
});

describe('what this version does not do says so', () => {
  test.each<[string[], string]>([
    [['watch', 'prefix', '--from', '3'], 'watch'],
    [['txn', 'file.json'], 'txn'],
  ])('%j', async (args, what) => {
    expect(await runCli(args)).toMatchObject({
      exit: 1,
      out: '',
      err: `quorate: ${what} is not implemented in this version\n`,
    });
  });
});

test('help, version and completion are on stdout with exit 0', async () => {
  const help = await runCli(['--help']);
  expect(help.exit).toBe(0);
  for (const command of [
    'dev',
    'node',
    'config',
    'put',
    'get',
    'del',
    'list',
    'status',
    'map',
    'locate',
    'reshard',
    'move',
    'nodes',
    'shards',
    'verify',
  ]) {
    expect(help.out).toContain(`quorate ${command}`);
  }
  expect(await runCli(['--version'])).toMatchObject({
    exit: 0,
    out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    err: '',
  });
  const completion = await runCli(['completion']);
  expect([completion.exit, completion.out]).toEqual([0, expect.stringContaining('quorate --get-yargs-completions')]);
  const offered = await runCli(['--get-yargs-completions', 'quorate', 'put', '--']);
  expect([offered.exit, offered.out]).toEqual([0, expect.stringContaining('--ttl')]);
});

test('no node at all: exit 1, and how to get one', async () => {
  const gone = await fakeNode(() => json(200, {}));
  await gone.close();
  const { exit, out, err } = await runCli(['get', 'k', '--endpoints', gone.url, '--timeout', '300ms']);
  expect([exit, out]).toEqual([1, '']);
  expect(err).toMatch(
    /^quorate: http:\S+ does not answer: [^\n]*ECONNREFUSED[^\n]*; start a cluster with 'quorate dev', or name a running one with --endpoints\n$/,
  );
});

test('one dead endpoint of several is passed over', async () => {
  const gone = await fakeNode(() => json(200, {}));
  await gone.close();
  const node = await fakeNode(() => json(200, { slot: 1, shard: 's1', leader: 'n1', members: ['n1', 'n2'], epoch: 3 }));
  try {
    const { exit, out } = await runCli(['locate', 'k', '--endpoints', `${gone.url},${node.url}`]);
    expect([exit, out]).toEqual([0, 'k  slot 1  shard s1  leader n1  members n1, n2  epoch 3\n']);
  } finally {
    await node.close();
  }
});

describe('config print', () => {
  const settings = ['--id', 'n1', '--data-dir', '/d'];

  test('names the source of each value', async () => {
    const { exit, out } = await runCli(['config', 'print', ...settings], { env: { QUORATE_RAFT_HEARTBEAT_MS: '50' } });
    expect(exit).toBe(0);
    const rows = out.split('\n').map((line) => line.split(/ {2,}/));
    expect(rows).toContainEqual(['id', 'n1', 'flag --id']);
    expect(rows).toContainEqual(['raft.heartbeat_ms', '50', 'environment QUORATE_RAFT_HEARTBEAT_MS']);
    expect(rows).toContainEqual(['log.level', 'info', 'default']);
  });

  test('as json', async () => {
    const { out } = await runCli(['config', 'print', ...settings, '-o', 'json']);
    expect(JSON.parse(out)).toContainEqual({ path: 'data_dir', value: '/d', source: 'flag', origin: '--data-dir' });
  });

  test('what is wrong is one line, exit 1; the same for node', async () => {
    const wrong = [...settings, '--raft-heartbeat-ms', '600'];
    const line = 'quorate: raft.heartbeat_ms: must be less than election_timeout_ms / 2\n';
    expect(await runCli(['config', 'print', ...wrong])).toMatchObject({ exit: 1, out: '', err: line });
    expect(await runCli(['node', ...wrong])).toMatchObject({ exit: 1, out: '', err: line });
  });
});

test('a node that cannot start ends with 1 and one line, also while a supervisor holds a channel to it', async () => {
  // A file where the directory should be.
  const settings = ['--id', 'n1', '--data-dir', fileURLToPath(import.meta.url), '--bootstrap-nodes', 'n1=h:1,n2=h:2'];
  const child = spawn(process.execPath, [PROGRAM, 'node', ...settings], {
    env: cleanEnvironment({ QUORATE_DEV_CHILD: '1' }),
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let err = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    err += chunk;
  });
  expect(await new Promise((resolve) => child.once('close', resolve))).toBe(1);
  expect(err).toMatch(/^quorate: [^\n]+\n$/);
});
