import { describe, expect, it } from 'vitest';
import { HistoryRecorder } from './history.js';
import { registerModel } from './register-model.js';
import { checkLinearizable } from './wgl.js';

describe('smoke', () => {
  it('accepts and rejects', () => {
    const recorder = new HistoryRecorder();
    const a = recorder.invoke({ client: 'a', kind: 'put', key: 'k', value: '1' });
    recorder.ok(a, { kind: 'stored', revision: 1 });
    const b = recorder.invoke({ client: 'a', kind: 'put', key: 'k', value: '2' });
    recorder.ok(b, { kind: 'stored', revision: 2 });
    expect(checkLinearizable(registerModel, recorder.operations()).ok).toBe(true);
    const c = recorder.invoke({ client: 'b', kind: 'get', key: 'k' });
    recorder.ok(c, { kind: 'found', value: '1', revision: 1 });
    const result = checkLinearizable(registerModel, recorder.operations());
    if (result.ok || result.kind !== 'violation') throw new Error('expected a violation');
    expect(result.violation.message).toContain('key k');
  });
});
