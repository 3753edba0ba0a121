/**
 * Waits for something that goes on by itself: asks where it is until it is over. Looking changes nothing, and a pause of those
 * who are asked (a leader is being chosen) ends nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 400;
/** So long nobody may answer before waiting ends. */
const SILENCE_MS_MAX = 60_000;
/** So long nothing may change before it is called stuck. */
const PATIENCE_MS = 30_000;

export interface Following<T> {
  readonly ask: () => Promise<T>;
  readonly over: (now: T) => boolean;
  readonly show: (now: T) => void;
  /** Where it is, as far as it can be told; with `stuck`. */
  readonly place?: (now: T) => string;
  /** Nothing has changed for long: called once for each place. May throw to end the waiting. */
  readonly stuck?: (now: T) => void | Promise<void>;
  readonly patience_ms?: number;
  /** In place of the first answer. */
  readonly first?: T;
}

const isPassing = (error: unknown): boolean =>
  error instanceof Error && 'retryable' in error && error.retryable === true;

/** Resolves with the first state that is over. @throws what `ask` throws and no waiting helps against, and what `stuck` throws */
export async function follow<T>(following: Following<T>): Promise<T> {
  const { ask, over, show, place = () => '', stuck = () => {}, patience_ms = PATIENCE_MS } = following;
  let now = following.first ?? (await ask());
  let heard_ms = performance.now();
  let since = { place: place(now), at_ms: heard_ms, told: false };
  for (;;) {
    show(now);
    if (over(now)) return now;
    if (place(now) !== since.place) since = { place: place(now), at_ms: heard_ms, told: false };
    if (!since.told && performance.now() - since.at_ms >= patience_ms) {
      since.told = true;
      await stuck(now);
    }
    await sleep(POLL_MS);
    try {
      now = await ask();
      heard_ms = performance.now();
    } catch (error) {
      if (!isPassing(error) || performance.now() - heard_ms > SILENCE_MS_MAX) throw error;
    }
  }
}
