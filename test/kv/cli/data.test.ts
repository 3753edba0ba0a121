import { afterEach, describe, expect, test } from 'vitest';
import { PROGRAM } from '../../e2e/program.js';
import {
  cleanEnvironment,
  type FakeNode,
  type FakeReply,
  fakeNode,
  json,
  problem,
  runCli,
  type Seen,
} from './run-cli.js';

let node: FakeNode | undefined;
afterEach(() => node?.close());

async function against(
  reply: FakeReply | null | ((seen: Seen) => FakeReply | null),
  args: string[],
  stdin?: string | Buffer,
) {
  node = await fakeNode(typeof reply === 'function' ? reply : () => reply);
  const ran = await runCli(['--timeout', '1s', ...args], {
    env: { QUORATE_ENDPOINTS: node.url },
    ...(stdin === undefined ? {} : { stdin }),
  });
  return { ...ran, seen: node.seen };
}

const stored = json(201, { key: 'k', key_encoding: 'utf8', revision: '7', version: 1, shard: 's1' }, { ETag: '"7"' });
const found = (body: string | Buffer): FakeReply => ({
  status: 200,
  headers: {
    'Content-Type': 'text/plain',
    ETag: '"7"',
    'X-Quorate-Version': '3',
    'X-Quorate-Shard': 's1',
    'X-Quorate-Expires-In': '1500',
  },
  body,
});

describe('put', () => {
  test('a value from the command line, taken as typed', async () => {
    const { exit, out, err, seen } = await against(stored, ['put', '0042', '007']);
    expect({ exit, out, err }).toEqual({ exit: 0, out: 'created 0042  revision 7  version 1  shard s1\n', err: '' });
    expect(seen[0]).toMatchObject({ method: 'PUT', target: '/v1/kv/0042' });
    expect(String(seen[0]?.body)).toBe('007');
    expect(seen[0]?.headers['idempotency-key']).toMatch(/^[0-9a-f]{32}$/);
  });

  test('a value from stdin, byte for byte, with everything that can be said of it', async () => {
    const bytes = Buffer.from([0, 0xff, 0x0a, 0x80]);
    const flags = ['--ttl', '5m', '--content-type', 'image/png', '--if-match', '6', '--idempotency-key', 'x1'];
    const { exit, out, seen } = await against(
      stored,
      ['put', '-o', 'json', 'YS8uLi9i', '--enc', 'b64url', ...flags],
      bytes,
    );
    expect(exit).toBe(0);
    expect(JSON.parse(out)).toEqual({
      key: 'a/../b',
      key_encoding: 'utf8',
      created: true,
      revision: '7',
      version: 1,
      shard: 's1',
    });
    expect(seen[0]?.target).toBe('/v1/kv/YS8uLi9i?enc=b64url&ttl=5m');
    expect(seen[0]?.headers).toMatchObject({ 'content-type': 'image/png', 'if-match': '"6"', 'idempotency-key': 'x1' });
    expect(seen[0]?.body).toEqual(bytes);
  });

  test('an empty value is a value', async () => {
    const { exit, seen } = await against(stored, ['put', 'k', '']);
    expect([exit, seen[0]?.body.length]).toEqual([0, 0]);
  });

  test('a condition that does not hold: exit 1, and the revision that the key has', async () => {
    const refused = problem(412, 'precondition_failed', 'the key has another revision');
    const withTag = { ...refused, headers: { ...refused.headers, ETag: '"9"' } };
    const { exit, out, err } = await against(withTag, ['put', 'k', 'v', '--if-match', '6']);
    expect({ exit, out, err }).toEqual({
      exit: 1,
      out: '',
      err: 'quorate: the key has another revision; the key is at revision 9\n',
    });
  });

  test('what no header can carry is refused before anything is sent', async () => {
    const { exit, err, seen } = await against(stored, ['put', 'k', 'v', '--content-type', 'текст']);
    const why = 'quorate: the content type must be visible ASCII characters, not "текст"\n';
    expect({ exit, err, seen }).toEqual({ exit: 1, err: why, seen: [] });
  });

  test.each([
    ['put', 'k', 'v'],
    ['del', 'k'],
  ])('an idempotency key that was used for something else: %s says to use another', async (...args) => {
    const used = problem(409, 'conflict', 'the Idempotency-Key was used for another request');
    const { exit, err } = await against(used, [...args, '--idempotency-key', 'x']);
    expect({ exit, err }).toEqual({
      exit: 1,
      err: 'quorate: the Idempotency-Key was used for another request; give another --idempotency-key\n',
    });
  });

  test('nobody knows whether it was carried out: exit 3', async () => {
    const { exit, err, seen } = await against(null, ['put', 'k', 'v']);
    expect(exit).toBe(3);
    expect(err).toMatch(/^quorate: it may or may not have been carried out: [^\n]*; look before you try again\n$/);
    // The same idempotency key all the time.
    expect(new Set(seen.map((one) => one.headers['idempotency-key'])).size).toBe(1);
  });

  test('certainly not carried out: exit 1 and what to do', async () => {
    const { exit, err } = await against(problem(503, 'no_leader', 'shard s1 has no leader'), ['put', 'k', 'v']);
    expect(exit).toBe(1);
    expect(err).toBe("quorate: shard s1 has no leader; nothing was changed, try again; 'quorate status' tells more\n");
  });
});

describe('words that begin with a dash', () => {
  test.each<[string[], string, string]>([
    [['put', 'k', '--', '--x'], '/v1/kv/k', '--x'],
    [['put', 'k', '--ttl', '5m', '--', '--ttl'], '/v1/kv/k?ttl=5m', '--ttl'],
    [['put', 'k', '--', '--'], '/v1/kv/k', '--'],
    [['put', 'k', '--', ''], '/v1/kv/k', ''],
    [['put', '--', '-k', 'v'], '/v1/kv/-k', 'v'],
    // A lone dash is the text; stdin is for a VALUE that is left out.
    [['put', 'k', '-'], '/v1/kv/k', '-'],
    [['put', '-', 'v'], '/v1/kv/-', 'v'],
    [['put', 'k', '--'], '/v1/kv/k', 'from stdin'],
  ])('%j stores what was typed', async (args, target, body) => {
    const { exit, err, seen } = await against(stored, args, 'from stdin');
    expect({ exit, err }).toEqual({ exit: 0, err: '' });
    expect(seen.map((one) => [one.target, String(one.body)])).toEqual([[target, body]]);
  });

  test.each<[string[], string]>([
    [['get', '--', '-k'], '/v1/kv/-k'],
    [['get', '--enc', 'b64url', '--', '-A'], '/v1/kv/%F8'],
    [['del', '--', '--'], '/v1/kv/--'],
    [['locate', '--', '-k'], '/v1/cluster/locate?key=-k'],
    [['list', '--', '-p'], '/v1/kv?prefix=-p&limit=1000&keys_only=true'],
    [['list', '-'], '/v1/kv?prefix=-&limit=1000&keys_only=true'],
    [['shards', 'members', '--', '-s'], '/v1/admin/shards/-s/members'],
    [['reshard', 'status', '--', '-1'], '/v1/admin/reshard/-1'],
  ])('%j asks for what was typed', async (args, target) => {
    const { seen } = await against(problem(400, 'invalid_argument', 'enough seen'), args);
    expect(seen.map((one) => one.target)).toEqual([target]);
  });

  test('one too many behind -- is wrong usage, and nothing is stored', async () => {
    const { exit, err, seen } = await against(stored, ['put', 'k', '--', 'a', '-b']);
    expect({ exit, err, seen }).toEqual({
      exit: 2,
      err: "quorate: Unknown argument: -b (see 'quorate --help')\n",
      seen: [],
    });
  });
});

describe('get', () => {
  test('prints the bytes and nothing else where it is no terminal', async () => {
    const bytes = Buffer.from([0xff, 0x00, 0x41]);
    const ran = await against(found(bytes), ['get', 'k']);
    expect([ran.exit, ran.bytes, ran.err]).toEqual([0, bytes, '']);
  });

  test('a megabyte arrives whole through a pipe', async () => {
    const bytes = Buffer.alloc(1_048_576, 'quorate ');
    const ran = await against(found(bytes), ['get', 'k']);
    expect(ran.bytes.equals(bytes)).toBe(true);
  });

  test('json and yaml tell the rest', async () => {
    const answer = {
      key: 'k',
      key_encoding: 'utf8',
      value: 'hello',
      encoding: 'utf8',
      revision: '7',
      version: 3,
      content_type: 'text/plain',
      shard: 's1',
      expires_in: 1500,
    };
    const inJson = await against(found('hello'), ['get', 'k', '-o', 'json']);
    expect(JSON.parse(inJson.out)).toEqual(answer);
    await node?.close();
    const inYaml = await against(found('hello'), [
      'get',
      'k',
      '--output=yaml',
      '--consistency',
      'stale',
      '--max-staleness',
      '500ms',
    ]);
    expect(inYaml.out).toContain('value: hello\n');
    expect(inYaml.out).toContain('revision: "7"\n');
    expect(inYaml.seen[0]?.target).toBe('/v1/kv/k?consistency=stale&max_staleness=500ms');
  });

  test('no such key: exit 1', async () => {
    const { exit, out, err } = await against(problem(404, 'key_not_found', 'no such key'), ['get', 'a\u001b[2Jb']);
    // The key cannot take over the terminal.
    expect({ exit, out, err }).toEqual({ exit: 1, out: '', err: 'quorate: there is no key a\\u001b[2Jb\n' });
  });
});

describe('del', () => {
  test('tells the revision; a missing key is exit 1', async () => {
    const deleted = json(200, { key: 'k', key_encoding: 'utf8', revision: '8', deleted: true });
    const done = await against(deleted, ['del', 'k', '--if-match', '*']);
    expect([done.exit, done.out]).toEqual([0, 'deleted k  revision 8\n']);
    expect(done.seen[0]).toMatchObject({ method: 'DELETE', headers: { 'if-match': '*' } });
    await node?.close();
    const missing = await against(problem(404, 'key_not_found', 'no such key'), ['del', 'k']);
    expect([missing.exit, missing.err]).toEqual([1, 'quorate: there is no key k\n']);
  });
});

describe('list', () => {
  const item = (key: string, value: string, key_encoding = 'utf8') => ({
    key,
    key_encoding,
    value,
    encoding: 'utf8',
    revision: '7',
    version: 1,
    content_type: 'text/plain',
  });
  const twoPages = ({ target }: Seen): FakeReply =>
    target.includes('cursor=c1')
      ? json(200, { items: [item('/w==', 'tab\there', 'base64')] })
      : json(200, { items: [item('a', '1'), item('b', '2')], cursor: 'c1' });

  test('keys, one a line, over all pages; asks for keys only', async () => {
    const { exit, out, seen } = await against(twoPages, ['list', 'pre fix']);
    expect([exit, out]).toEqual([0, 'a\nb\n\\xff\n']);
    expect(seen[0]?.target).toBe('/v1/kv?prefix=pre%20fix&limit=1000&keys_only=true');
  });

  test('-l shows values; --limit ends it early', async () => {
    const { out } = await against(twoPages, ['list', '-l']);
    expect(out.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['KEY', 'REVISION', 'VERSION', 'EXPIRES', 'TYPE', 'SIZE', 'VALUE'],
      ['a', '7', '1', '-', 'text/plain', '1 B', '1'],
      ['b', '7', '1', '-', 'text/plain', '1 B', '2'],
      ['\\xff', '7', '1', '-', 'text/plain', '8 B', 'tab\\there'],
      [''],
    ]);
    await node?.close();
    const short = await against(twoPages, ['list', '--limit', '1']);
    expect(short.out).toBe('a\n');
  });

  test('json gives items', async () => {
    const { out } = await against(twoPages, ['list', '-o', 'json']);
    expect(JSON.parse(out)).toEqual({ items: [item('a', '1'), item('b', '2'), item('/w==', 'tab\there', 'base64')] });
  });

  test('a reader that has seen enough is no failure', async () => {
    const items = Array.from({ length: 1_000 }, (_, i) => item(`key-${i}`.padEnd(200, 'x'), ''));
    node = await fakeNode(() => json(200, { items, cursor: 'again' }));
    const { spawn } = await import('node:child_process');
    const child = spawn(process.execPath, [PROGRAM, 'list', '--endpoints', node.url], { env: cleanEnvironment() });
    const err: string[] = [];
    child.stderr.on('data', (chunk: Buffer) => err.push(String(chunk)));
    child.stdout.once('data', () => child.stdout.destroy());
    const exit = await new Promise((resolve) => child.once('exit', resolve));
    expect([exit, err.join('')]).toEqual([0, '']);
  });
});
