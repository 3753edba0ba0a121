/** The real world behind the client's ports: the process's clock, timers and randomness. */
import { randomBytes } from 'node:crypto';
import type { Clock, Random, Timer } from '../../raft/index.js';

export const systemClock: Pick<Clock, 'monotonic_ms' | 'after'> = {
  monotonic_ms: () => performance.now(),
  after(delay_ms: number, run: () => void): Timer {
    const timer = setTimeout(run, delay_ms);
    return { cancel: () => clearTimeout(timer) };
  },
};

/** For jitter. */
export const systemRandom: Random = { next: () => Math.random() };

/** 128 bits as 32 hexadecimal digits. Without `random` from the system's secure source. */
export function drawIdempotencyKey(random: Random | undefined): string {
  if (random === undefined) return randomBytes(16).toString('hex');
  let key = '';
  for (let word = 0; word < 4; word++) {
    key += Math.floor(random.next() * 0x1_0000_0000)
      .toString(16)
      .padStart(8, '0');
  }
  return key;
}
