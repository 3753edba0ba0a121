/** Promises over the runtime's waiters and the clock, for paths that are not hot. */
import type { Clock, Replica } from '../../raft/index.js';

export type Proposed =
  | { readonly kind: 'applied'; readonly result: unknown; readonly index: number }
  | { readonly kind: 'refused' }
  | { readonly kind: 'unknown' };

export function propose(replica: Replica, data: Uint8Array): Promise<Proposed> {
  return new Promise((resolve) => {
    replica.propose(data, {
      applied: (result, index) => resolve({ kind: 'applied', result, index }),
      refused: () => resolve({ kind: 'refused' }),
      unknown: () => resolve({ kind: 'unknown' }),
    });
  });
}

/** Resolves to true once the applied state is linearizable for a read that begins now; false if that cannot be had here. */
export function readBarrier(replica: Replica, clock: Clock, timeout_ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = clock.after(timeout_ms, () => resolve(false));
    const settle = (ok: boolean) => {
      timer.cancel();
      resolve(ok);
    };
    replica.read({ ready: () => settle(true), refused: () => settle(false) });
  });
}

/** What the promise says, or `late` once the time is over; a rejection passes. Leaves no timer behind. */
export function within<T, L>(clock: Clock, promise: Promise<T>, timeout_ms: number, late: L): Promise<T | L> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(timeout_ms, () => resolve(late));
    promise.then(
      (value) => {
        timer.cancel();
        resolve(value);
      },
      (error: unknown) => {
        timer.cancel();
        reject(error);
      },
    );
  });
}

export const delay = (clock: Clock, delay_ms: number): Promise<void> =>
  new Promise((resolve) => {
    clock.after(delay_ms, resolve);
  });
