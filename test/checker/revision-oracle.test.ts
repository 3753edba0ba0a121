import { describe, expect, it } from 'vitest';
import { generate } from './generated-history.js';
import { checkRevisions } from './revision-oracle.js';
import { told } from './told-history.js';

function complaint(drawing: string): string | null {
  const result = checkRevisions(told(drawing));
  return result.ok ? null : result.message;
}

describe('the revision oracle', () => {
  it('accepts what exact registers answer', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const history = generate({ seed, keys: 5, operations: 2_000, clients: 16, revisions: true, unknown: 0.05 });
      expect(checkRevisions(history)).toEqual({ ok: true });
    }
  });

  it('accepts one revision seen by many, by failed conditions and by retries', () => {
    expect(
      complaint(`
        a: [put k one id=x → stored 5]  [put k one id=x → stored 5]  [get k → one 5]  [put k two if=4 → refused 5]
        b:                                                           [get k → one 5]  [delete k → deleted 9]
      `),
    ).toBeNull();
  });

  it('complains of a revision that falls from one operation to the next', () => {
    expect(
      complaint(`
        a: [put k one → stored 5]
        b:                         [put k two → stored 4]
      `),
    ).toContain('key k: revision 4 came after revision 5');
    expect(
      complaint(`
        a: [put k one → stored 5]  [put k two → stored 6]
        b:                                                 [get k → one 5]
      `),
    ).toContain('b get k → found "one" revision 5');
    expect(
      complaint(`
        a: [put k one → stored 5]  [get k → two 6]
        b:                                         [put k three if=3 → refused 5]
      `),
    ).toContain('revision 5 came after revision 6');
  });

  it('complains of a write that does not go beyond what was seen before it', () => {
    expect(
      complaint(`
        a: [get k → one 5]
        b:                 [delete k → deleted 5]
      `),
    ).toContain('revision 5');
  });

  it('complains of a revision with two writes or two values', () => {
    expect(
      complaint(`
        a: [put k one → stored 5]
        b: [put k two → stored 5]
      `),
    ).toContain('two writes have revision 5');
    expect(
      complaint(`
        a: [get k → one 5]
        b: [get k → two 5]
      `),
    ).toContain('revision 5 has two values');
    expect(
      complaint(`
        a: [delete k → deleted 5]
        b: [get k → two 5]
      `),
    ).toContain('revision 5 has two values');
  });

  it('lets concurrent operations be answered in any order, and keys have revisions of their own', () => {
    expect(
      complaint(`
        a: [put k one → stored 5 ]
        b:   [put k two → stored 4 ]
        c:                            [put l one → stored 3]
      `),
    ).toBeNull();
  });
});
