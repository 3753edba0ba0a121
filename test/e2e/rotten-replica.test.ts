/**
 * One byte of a value rots in a file of one follower while its process runs. Nobody notices, since leaders serve reads; `quorate
 * verify` does, names node and key, and what it tells to do makes it good.
 */
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QuorateClient, type VerifyView } from '../../src/kv/client/index.js';
import { runCli } from '../kv/cli/run-cli.js';
import { keysNamed } from './keys.js';
import { LocalCluster, type LocalNode, until } from './local-cluster.js';
import { noise } from './noise.js';

const KEYS = keysNamed('rot/', 60);
/** No compression makes them smaller, so that they stand in tables as they are. */
const VALUE_BYTES = 20_000;

let cluster: LocalCluster;
let client: QuorateClient;
beforeAll(async () => {
  cluster = await LocalCluster.start({ nodes: 3, shards: 1 });
  client = new QuorateClient({ endpoints: cluster.endpoints, timeout_ms: 30_000 });
}, 60_000);
afterAll(async () => {
  client.close();
  await cluster.close();
});

const valueFor = (i: number): Buffer => noise(i, VALUE_BYTES);

interface Place {
  readonly key: string;
  readonly file: string;
  readonly at: number;
}

/** Where a value of the shard stands in a table file of the node: in one place only. null: none does yet. */
function placeOnDisk(node: LocalNode): Place | null {
  const state = join(node.dataDir, 'state');
  const engine = readdirSync(state).find((name) => name.startsWith('g1-'))!;
  const tables = readdirSync(join(state, engine)).filter((name) => name.endsWith('.ldb'));
  const contents = tables.map((name) => ({
    file: join(state, engine, name),
    bytes: readFileSync(join(state, engine, name)),
  }));
  for (const [i, key] of KEYS.entries()) {
    const found = contents.flatMap(({ file, bytes }) => {
      const at = bytes.indexOf(valueFor(i));
      return at === -1 ? [] : [{ key, file, at }];
    });
    if (found.length === 1) return found[0]!;
  }
  return null;
}

function flipByte({ file, at }: Place): void {
  const where = at + VALUE_BYTES / 2;
  const byte = readFileSync(file)[where]!;
  const opened = openSync(file, 'r+');
  writeSync(opened, Buffer.of(byte ^ 0xff), 0, 1, where);
  closeSync(opened);
}

const quorate = (...args: readonly string[]) => runCli([...args, '--endpoints', cluster.endpoints.join()]);

describe('F38: a value that rots on the disk of a follower', () => {
  it('is found by quorate verify, which names node and key; what it tells to do makes it good', async () => {
    for (const [i, key] of KEYS.entries()) await client.put(key, valueFor(i));
    const leader = await cluster.leaderOf('s1');
    const victim = cluster.nodes.find((node) => node !== leader)!;
    // A start writes out what was in memory only, and nothing of it is cached then.
    await cluster.kill(victim, 'SIGTERM');
    await cluster.whenReady(victim);
    await cluster.whenHealthy();
    const sound = await quorate('verify', '--watch');
    expect([sound.exit, sound.err.split('\n')[0]]).toEqual([0, expect.stringContaining('has begun')]);

    await cluster.kill(victim, 'SIGTERM');
    await cluster.whenReady(victim);
    await cluster.whenHealthy();
    const place = await until('a value in a table', 15_000, async () => placeOnDisk(victim));
    flipByte(place);
    const found = await quorate('verify', '--watch', '-o', 'json');
    expect(found.exit).toBe(1);
    const view = JSON.parse(found.out) as VerifyView;
    expect(view.result).toBe('differences');
    expect(view.shards[0]!.differences).toMatchObject([
      { kind: 'rotten', nodes: [victim.id], key: place.key, detail: 'checksum of the value does not match' },
    ]);
    const command = (change: string): string => `quorate shards members s1 ${change} ${victim.id}`;
    expect(found.err).toContain(`'${command('--remove')}', then '${command('--add')}'`);

    for (const change of ['--remove', '--add']) {
      const changed = await quorate('shards', 'members', 's1', change, victim.id, '--timeout', '60s');
      expect(changed.exit, changed.err).toBe(0);
    }
    const again = await quorate('verify', '--watch');
    expect([again.exit, again.out]).toEqual([0, expect.stringContaining(victim.id)]);
  }, 180_000);
});
