/** Programs of the system, run to their end; what they said is in the error where they failed. */
import { execFileSync } from 'node:child_process';

const TIMEOUT_MS = 10_000;

/** What it printed. */
export function command(name: string, ...args: readonly string[]): string {
  try {
    return execFileSync(name, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: TIMEOUT_MS });
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim() || (error as Error).message;
    throw new Error(`${name} ${args.join(' ')}: ${said}`, { cause: error });
  }
}

export function succeeds(name: string, ...args: readonly string[]): boolean {
  try {
    command(name, ...args);
    return true;
  } catch {
    return false;
  }
}
