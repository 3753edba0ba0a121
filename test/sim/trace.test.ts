import { describe, expect, it } from 'vitest';
import { SimScheduler } from './fakes/clock.js';
import { Trace } from './trace.js';

describe('a trace', () => {
  it('is the same in every checkout: what names this one is refused', () => {
    const trace = new Trace(new SimScheduler(), true);
    trace.add('n1', 'error replica is damaged');
    expect(() => trace.add('n1', `error ${JSON.stringify({ stack: new Error('damaged').stack })}`)).toThrow(
      'a trace names the checkout',
    );
    expect(trace.lines).toEqual(['0.000 n1 error replica is damaged']);
  });
});
