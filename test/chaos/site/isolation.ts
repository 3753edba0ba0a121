/**
 * A run as root gets network, mount and process namespaces of its own: bridges, mounts and nodes live in there, and the kernel takes all of
 * it away when the run ends, however it ends. Without root nothing of this is needed, and what needs it is skipped aloud.
 */
import { spawn } from 'node:child_process';
import { command, succeeds } from '../links/commands.js';

/** Set in the process that runs inside. */
const INSIDE = 'QUORATE_CHAOS_INSIDE';
const FLAGS = ['--net', '--mount', '--propagation', 'private'];

export const isInside = (): boolean => process.env[INSIDE] === '1';

export function canIsolate(): boolean {
  return process.platform === 'linux' && process.getuid?.() === 0 && succeeds('unshare', ...FLAGS, 'ip', 'link');
}

/** The same command line again, inside; resolves with its exit code. Signals reach it through the terminal, or from here. */
export function runInside(): Promise<number> {
  const program = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const child = spawn('unshare', [...FLAGS, '--', ...program], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, [INSIDE]: '1' },
  });
  // Ctrl-C goes to the whole foreground group by itself; other senders mean this process only.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 4));
  });
}

/** Once, first of all, inside. */
export function furnish(): void {
  command('ip', 'link', 'set', 'lo', 'up');
}
