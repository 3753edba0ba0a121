/** Waiting: what ends it, what does not, and what is said when nothing changes. */
import { expect, test } from 'vitest';
import { follow } from '../../../src/kv/cli/follow.js';
import { QuorateError } from '../../../src/kv/client/index.js';

const away = (retryable: boolean) => new QuorateError({ code: 'no_leader', status: 503, detail: 'away', retryable });

/** Answers in turn; an Error is thrown. */
const course = (...answers: readonly (string | Error)[]) => {
  const left = [...answers];
  return async (): Promise<string> => {
    const answer = left.shift() ?? 'end';
    if (answer instanceof Error) throw answer;
    return answer;
  };
};

test('shows each state, the last too, and passes over what passes', async () => {
  const shown: string[] = [];
  const end = await follow({
    first: 'a',
    ask: course(away(true), 'b', 'end'),
    over: (now) => now === 'end',
    show: (now) => shown.push(now),
  });
  expect([end, shown]).toEqual(['end', ['a', 'a', 'b', 'end']]);
});

test('what no waiting helps against ends it', async () => {
  const ask = course('a', away(false));
  await expect(follow({ ask, over: () => false, show: () => {} })).rejects.toThrow('away');
});

test('is called stuck once for each place where nothing changes for long', async () => {
  const told: string[] = [];
  await follow({
    ask: course('s1', 's1', 's1', 's1', 's2', 's2', 's2', 's2', 'end'),
    over: (now) => now === 'end',
    show: () => {},
    place: (now) => now,
    stuck: (now) => {
      told.push(now);
    },
    patience_ms: 600,
  });
  expect(told).toEqual(['s1', 's2']);
});

test('stuck may end the waiting', async () => {
  const stuck = (): void => {
    throw new Error('given up');
  };
  await expect(follow({ ask: course(), over: () => false, show: () => {}, stuck, patience_ms: 1 })).rejects.toThrow(
    'given up',
  );
});
