import { describe, expect, it } from 'vitest';
import { SimScheduler } from './fakes/clock.js';
import { OpenCalls } from './open-calls.js';

describe('calls of operators', () => {
  it('are open until they are answered, or whoever was asked has given them up', async () => {
    const scheduler = new SimScheduler();
    const calls = new OpenCalls(scheduler);
    expect(calls.none).toBe(true);
    let answer = (_: string): void => {};
    const asked = calls.track(
      new Promise<string>((resolve) => {
        answer = resolve;
      }),
      5_000,
    );
    expect(calls.none).toBe(false);
    answer('done');
    expect(await asked).toBe('done');
    expect(calls.none).toBe(true);

    // Who was asked has died, and never says so.
    void calls.track(new Promise(() => {}), 5_000);
    await scheduler.runFor(4_999);
    expect(calls.none).toBe(false);
    await scheduler.runFor(1);
    expect(calls.none).toBe(true);

    await expect(calls.track(Promise.reject(new Error('lost')), 5_000)).rejects.toThrow('lost');
    expect(calls.none).toBe(true);
  });
});
