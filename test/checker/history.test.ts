import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { generate } from './generated-history.js';
import { assertHistory, HistoryRecorder, type Operation } from './history.js';
import { HistoryFormatError, readHistory, writeHistory } from './history-lines.js';

const invocation = { client: 'a', kind: 'put', key: 'k', value: 'v' } as const;
const HEAD = '{"format":"quorate-history","version":1}';

describe('the recorder', () => {
  it('tells answered, refused and open operations apart, in order of their calls', () => {
    const recorder = new HistoryRecorder();
    const [a, b, c, d] = [0, 1, 2, 3].map(() => recorder.invoke(invocation)) as [number, number, number, number];
    recorder.unknown(b, 'timeout');
    recorder.ok(c, { kind: 'stored', revision: 3 });
    recorder.fail(a, 'no_leader');
    const operations = recorder.operations();
    expect(operations.map(({ id, call, return: end, outcome }) => [id, call, end, outcome])).toEqual([
      [a, 1, 6, { kind: 'failed', reason: 'no_leader' }],
      [b, 2, null, { kind: 'unknown', reason: 'timeout' }],
      [c, 3, 5, { kind: 'stored', revision: 3 }],
      [d, 4, null, { kind: 'unknown', reason: 'open' }],
    ]);
    expect(() => assertHistory(operations)).not.toThrow();
  });

  it('gives every event a time of its own, also while the clock stands still or goes back', () => {
    const clock = [10, 10, 10, 9.5, 10.25];
    const recorder = new HistoryRecorder(() => clock.shift()!);
    const first = recorder.invoke(invocation);
    recorder.ok(first, { kind: 'stored' });
    const second = recorder.invoke(invocation);
    recorder.ok(second, { kind: 'stored' });
    recorder.invoke(invocation);
    expect(recorder.operations().flatMap(({ call, return: end }) => [call, end])).toEqual([
      10,
      10.001,
      10.002,
      10.003,
      10.25,
      null,
    ]);
  });

  it('refuses to end an operation twice, or one that was never called', () => {
    const recorder = new HistoryRecorder();
    const id = recorder.invoke(invocation);
    recorder.unknown(id, 'timeout');
    expect(() => recorder.ok(id, { kind: 'stored' })).toThrow('ended twice');
    expect(() => recorder.fail(7, 'x')).toThrow('no operation #7');
  });
});

describe('a history that contradicts itself is refused', () => {
  const good: Operation = {
    ...{ id: 0, client: 'a', kind: 'put', key: 'k', value: 'v', condition: { kind: 'none' }, idempotencyKey: null },
    ...{ call: 1, return: 2, outcome: { kind: 'stored' } },
  };
  it.each<[string, Partial<Operation>]>([
    ['before its call', { return: 0 }],
    ['unknown outcome only', { return: null }],
    ['unknown outcome only', { outcome: { kind: 'unknown', reason: '' } }],
    ['put needs a value', { value: null }],
    ['get takes no value', { kind: 'get' }],
    ['put cannot end as found', { outcome: { kind: 'found', value: 'v' } }],
    ['no time', { call: Number.NaN }],
  ])('%s', (message, change) => {
    expect(() => assertHistory([{ ...good, ...change }])).toThrow(message);
  });

  it('stands twice', () => {
    expect(() => assertHistory([good, good])).toThrow('stands twice');
  });
});

describe('JSON lines', () => {
  it('give back every history that was written', () => {
    const options = fc.record({
      seed: fc.nat(),
      keys: fc.constant(3),
      operations: fc.integer({ min: 0, max: 40 }),
      clients: fc.constant(4),
      revisions: fc.boolean(),
      unknown: fc.constantFrom(0, 0.4),
    });
    fc.assert(
      fc.property(options, (each) => {
        const history = generate(each);
        expect(readHistory(writeHistory(history))).toEqual(history);
      }),
      { seed: 7, numRuns: 100 },
    );
  });

  it('look as documented', () => {
    const recorder = new HistoryRecorder();
    const put = recorder.invoke({ ...invocation, condition: { kind: 'revision', revision: 4 }, idempotencyKey: 'x' });
    recorder.ok(put, { kind: 'stored', revision: 7, version: 2, created: false });
    recorder.ok(recorder.invoke({ client: 'b', kind: 'get', key: 'k' }), { kind: 'found', value: 'v', revision: 7 });
    const make = recorder.invoke({ ...invocation, condition: { kind: 'absent' } });
    recorder.ok(make, { kind: 'precondition_failed', revision: null });
    recorder.ok(recorder.invoke({ client: 'b', kind: 'append', key: 'l', value: 'z' }), {
      kind: 'stored',
      value: '["z"]',
    });
    recorder.unknown(
      recorder.invoke({ client: 'b', kind: 'delete', key: 'k', condition: { kind: 'exists' } }),
      'timeout',
    );
    const text = writeHistory(recorder.operations());
    expect(text.split('\n').slice(0, -1)).toEqual([
      HEAD,
      '{"id":0,"client":"a","op":"put","key":"k","call":1,"return":2,"outcome":"stored","value":"v","if_match":4,"idempotency_key":"x","revision":7,"version":2,"created":false}',
      '{"id":1,"client":"b","op":"get","key":"k","call":3,"return":4,"outcome":"found","value":"v","revision":7}',
      '{"id":2,"client":"a","op":"put","key":"k","call":5,"return":6,"outcome":"precondition_failed","value":"v","if_none_match":"*","revision":null}',
      '{"id":3,"client":"b","op":"append","key":"l","call":7,"return":8,"outcome":"stored","value":"z","result":"[\\"z\\"]"}',
      '{"id":4,"client":"b","op":"delete","key":"k","call":9,"return":null,"outcome":"unknown","if_match":"*","reason":"timeout"}',
    ]);
    expect(readHistory(text)).toEqual(recorder.operations());
  });

  const line = '{"id":0,"client":"a","op":"get","key":"k","call":1,"return":2,"outcome":"found","value":"v"}';
  it.each([
    ['', 'line 1: no JSON'],
    ['{"format":"other","version":1}', 'line 1: this is no history'],
    ['{"format":"quorate-history","version":2}', 'history format 2 is unknown'],
    [`${HEAD}\n{"id":0`, 'line 2: no JSON'],
    [`${HEAD}\n${line.replace('"a"', '7')}`, 'line 2: .*client'],
    [`${HEAD}\n${line.replace('"key"', '"kee"')}`, 'line 2: .*kee'],
    [`${HEAD}\n${line.replace(',"value":"v"', '')}`, 'line 2: found without a value'],
    [`${HEAD}\n${line.replace('"return":2', '"return":0')}`, 'line 2: .*before its call'],
    [`${HEAD}\n${line.replace('"v"', '"v","revision":null')}`, 'line 2: only a failed precondition'],
    [`${HEAD}\n${line.replace('"v"', '"v","if_match":"*","if_none_match":"*"')}`, 'line 2: .*exclude each other'],
    [`${HEAD}\n${line}\n${line}`, 'line 3: id 0 stands twice'],
  ])('are refused by their line: %s', (text, message) => {
    expect(() => readHistory(text)).toThrow(HistoryFormatError);
    expect(() => readHistory(text)).toThrow(new RegExp(message, 's'));
  });
});
