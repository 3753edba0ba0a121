/**
 * The harness as a program: wrong usage, its list, and one short real run with kills, reshards and nodes that come and go. How
 * long a shard may be away is not judged here, where the machine is shared: that is what longer runs are for.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readHistory } from '../checker/history-lines.js';
import { EXIT } from './exit-codes.js';

const PROGRAM = join(import.meta.dirname, 'main.ts');
const out = mkdtempSync(join(tmpdir(), 'quorate-chaos-test-'));
const children = new Set<ChildProcess>();
afterAll(() => {
  // Only where a test has failed; its nodes end with it.
  for (const child of children) child.kill('SIGKILL');
  rmSync(out, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `during`: called with what has been printed so far, each time there is more. */
function chaos(
  args: readonly string[],
  during: (stdout: string, kill: (signal: NodeJS.Signals) => void) => void = () => undefined,
): Promise<Ended> {
  const child = spawn(process.execPath, ['--import', 'tsx', PROGRAM, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  child.once('close', () => children.delete(child));
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
    during(stdout, (signal) => child.kill(signal));
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

describe('npm run chaos', () => {
  it('ends with 2 and one line where it is used wrongly', async () => {
    const { code, stdout, stderr } = await chaos(['--nemesis', 'earthquake']);
    expect([code, stdout]).toEqual([EXIT.usage, '']);
    expect(stderr).toMatch(/^chaos: --nemesis earthquake: there is none of that name; .*\n$/);
  });

  it('lists what there is', async () => {
    const { code, stdout } = await chaos(['--list']);
    expect(code).toBe(EXIT.ok);
    for (const name of ['kill:all', 'partition:bridge', 'disk-full', 'clock', 'reshard', 'members', 'bank'])
      expect(stdout).toContain(`  ${name} `);
  });

  it('finds a cluster that kills, reshards and newcomers cannot harm, and leaves timeline and histories', async () => {
    const wishes = ['--time', '12s', '--nemesis', 'kill:one,reshard,members', '--seed', '3', '--network', 'proxy'];
    const { code, stdout, stderr } = await chaos([...wishes, '--limit', '60s', '--out', out]);
    expect({ code, stdout: stdout.includes('OK: no promise broken'), stderr }, stdout).toEqual({
      code: EXIT.ok,
      stdout: true,
      stderr: '',
    });
    expect(stdout).toMatch(/kill:one: kill -9 n\d/);
    expect(stdout).toMatch(/reshard: (grow|shrink|move)/);
    expect(stdout).toContain('members:join: n4 joins');
    expect(readFileSync(join(out, 'timeline.html'), 'utf8')).toContain('OK: no promise broken');
    const names = ['append', 'bank', 'counter', 'list', 'register'];
    expect(readdirSync(out).sort()).toEqual(
      [
        'events.json',
        'history-list-scans.jsonl',
        'timeline.html',
        ...names.map((name) => `history-${name}.jsonl`),
      ].sort(),
    );
    for (const name of names) {
      const operations = readHistory(readFileSync(join(out, `history-${name}.jsonl`), 'utf8'));
      expect(operations.length, name).toBeGreaterThan(20);
    }
  }, 180_000);

  it('ends early when it is asked to, with a report, and leaves no process', async () => {
    const wishes = ['--time', '5m', '--nemesis', 'stop:one', '--workload', 'bank', '--seed', '4', '--network', 'proxy'];
    let asked = false;
    const { code, stdout } = await chaos([...wishes, '--limit', '60s', '--out', out], (printed, kill) => {
      if (asked || !printed.includes('SIGSTOP')) return;
      asked = true;
      kill('SIGINT');
    });
    expect(code).toBe(EXIT.interrupted);
    expect(stdout).toContain('INTERRUPTED: nothing wrong until then');
    const mine = readdirSync('/proc')
      .filter((pid) => /^\d+$/.test(pid))
      .filter((pid) => parentOf(pid) === 1 && commandOf(pid).includes('dist/kv/cli/main.js node'));
    expect(mine.filter((pid) => commandOf(pid).includes(process.cwd()))).toEqual([]);
  }, 120_000);
});

function readProc(pid: string, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}
const commandOf = (pid: string): string => readProc(pid, 'cmdline').replaceAll('\0', ' ');
const parentOf = (pid: string): number => Number(/^PPid:\s+(\d+)/m.exec(readProc(pid, 'status'))?.[1] ?? -1);
