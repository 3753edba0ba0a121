import { describe, expect, it } from 'vitest';
import { type Copied, type CopyJob, copySlots } from '../../../src/kv/migration/index.js';
import type { ExportCursor, ExportPage, KvStateMachine, PageRecord } from '../../../src/kv/store/index.js';
import { ShardUnavailable, type SlotAnswer, type SlotRanges } from '../../../src/shardctrl/index.js';

const SLOTS: SlotRanges = [[0, 9]];

/** A source of so many pages of one record each. */
function sourceOf(pages: number): KvStateMachine {
  const exportRecords = async (
    _slots: SlotRanges,
    _since: number | null,
    at: ExportCursor | null,
  ): Promise<ExportPage> => {
    const number = at?.range ?? 0;
    const next = number + 1 < pages ? { range: number + 1, pass: 'keys' as const, from: Buffer.alloc(0) } : null;
    return { records: [Buffer.from([number]) as unknown as PageRecord], next };
  };
  return { exportRecords, notedAfter: () => 0, newestNote: 0 } as unknown as KvStateMachine;
}

class Destination {
  /** Resolvers of the pages on their way, oldest first. */
  readonly flying: { readonly answer: (answer: SlotAnswer) => void; readonly fail: (error: Error) => void }[] = [];
  sent = 0;
  most = 0;

  readonly send = (): Promise<SlotAnswer> => {
    this.sent++;
    return new Promise((resolve, reject) => {
      this.flying.push({ answer: resolve, fail: reject });
      this.most = Math.max(this.most, this.flying.length);
    });
  };

  /** Answers the oldest, again and again, until the copy has ended. */
  async serve<T>(copy: Promise<T>, answer: (number: number) => SlotAnswer = () => ({ kind: 'ok' })): Promise<T> {
    let ended = false;
    let answered = 0;
    const over = copy.finally(() => {
      ended = true;
    });
    over.catch(() => {});
    while (!ended) {
      await new Promise((resolve) => setImmediate(resolve));
      this.flying.shift()?.answer(answer(++answered));
    }
    return over;
  }
}

const start = (to: Destination, pages: number, atOnce: number, install: CopyJob['install'] = null): Promise<Copied> =>
  copySlots({
    move: 7,
    slots: SLOTS,
    machine: sourceOf(pages),
    since: null,
    settled: async () => {},
    send: to.send,
    atOnce: () => atOnce,
    install,
  });

describe('a copy of many pages', () => {
  it('has as many on their way as it may, after the first, and all of them have arrived when it ends', async () => {
    const to = new Destination();
    const copy = start(to, 12, 3);
    await new Promise((resolve) => setImmediate(resolve));
    expect(to.sent).toBe(1);
    expect(await to.serve(copy)).toMatchObject({ kind: 'copied', records: 12 });
    expect([to.sent, to.most, to.flying.length]).toEqual([12, 3, 0]);
  });

  it('sends no more once one is refused, and says how', async () => {
    const to = new Destination();
    const copied = await to.serve(start(to, 12, 3), (number) => ({ kind: number === 4 ? 'stale' : 'ok' }));
    expect(copied).toEqual({ kind: 'refused', answer: { kind: 'stale' } });
    expect(to.sent).toBeLessThan(9);
    expect(to.flying).toHaveLength(0);
  });

  it('F52: installs behind the last page, and not before all others have arrived', async () => {
    const to = new Destination();
    const story: unknown[] = [];
    const send = async (page: Buffer | null): Promise<SlotAnswer> => {
      story.push(to.sent, to.flying.length, page?.length);
      return { kind: 'mismatch', sums: { keys: 1, bytes: 2, digest: '', idempotencyRecords: 0 } };
    };
    expect(await to.serve(start(to, 12, 3, { late: () => false, send }))).toMatchObject({
      kind: 'answered',
      answer: { kind: 'mismatch' },
    });
    expect(story).toEqual([11, 0, expect.any(Number)]);
  });

  it('F52: installs nothing behind a page that was refused', async () => {
    const to = new Destination();
    const install = { late: () => false, send: () => Promise.reject(new Error('installed')) };
    const copied = await to.serve(start(to, 12, 3, install), (number) => ({ kind: number === 11 ? 'stale' : 'ok' }));
    expect(copied).toEqual({ kind: 'refused', answer: { kind: 'stale' } });
  });

  it('F62: installs nothing once it is late, and has copied all the same', async () => {
    const to = new Destination();
    const install = { late: () => to.sent === 11, send: () => Promise.reject(new Error('installed')) };
    expect(await to.serve(start(to, 12, 3, install))).toMatchObject({ kind: 'copied', records: 12 });
    expect(to.sent).toBe(12);
  });

  it('fails as a page fails, and not before the others have ended', async () => {
    const to = new Destination();
    const copy = start(to, 12, 3);
    let ended = false;
    copy.catch(() => {
      ended = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    to.flying.shift()!.answer({ kind: 'ok' });
    while (to.flying.length < 3) await new Promise((resolve) => setImmediate(resolve));
    to.flying.shift()!.fail(new ShardUnavailable('away'));
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(ended).toBe(false);
    for (const page of to.flying.splice(0)) page.answer({ kind: 'ok' });
    await expect(copy).rejects.toThrow('away');
  });
});
