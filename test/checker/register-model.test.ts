/** The classics: what a register must never show, and what it may, however odd it looks. */
import { describe, expect, it } from 'vitest';
import { registerModel } from './register-model.js';
import { told } from './told-history.js';
import { checkLinearizable, type Violation } from './wgl.js';

function violationOf(drawing: string): Violation {
  const result = checkLinearizable(registerModel, told(drawing));
  if (result.ok || result.kind !== 'violation') throw new Error(`accepted: ${drawing}`);
  return result.violation;
}

const accepted = (drawing: string): void => {
  const result = checkLinearizable(registerModel, told(drawing));
  expect(result.ok ? null : result.kind === 'violation' ? result.violation.message : result.message).toBeNull();
};

/** The message names the key and these operations. */
const rejected = (drawing: string, ...named: string[]): void => {
  const { message } = violationOf(drawing);
  for (const part of ['key k ', ...named]) expect(message).toContain(part);
};

describe('a register never shows', () => {
  it('a stale value after the write that replaced it was acknowledged (F12)', () => {
    rejected(
      `
      a: [put k one → stored]  [put k two → stored]
      b:                                             [get k → one]
      `,
      'b get k → found "one"',
      'a put k "two" → stored',
    );
  });

  it('a value that went back: two reads in a row see new, then old, while the write is open', () => {
    rejected(
      `
      a: [put k one → stored]  [put k two → stored                              ]
      b:                         [get k → two]  [get k → one]
      `,
      'b get k → found "one"',
    );
  });

  it('a lost update: two conditional puts on one revision both succeed', () => {
    rejected(
      `
      a: [put k one → stored 1]  [put k two   if=1 → stored 2]
      b:                         [put k three if=1 → stored 3]
      `,
      'if-match 1 → stored revision 2',
      'if-match 1 → stored revision 3',
    );
  });

  it('a lost write: acknowledged, then missing (F32, F53)', () => {
    rejected(
      `
      a: [put k one → stored]
      b:                       [get k → missing]
      `,
      'b get k → missing',
    );
  });

  it('a value that nobody wrote, or not yet', () => {
    rejected(
      `
      a: [put k one → stored]
      b:                       [get k → ghost]
      `,
      'b get k → found "ghost"',
    );
    rejected(
      `
      a:                [put k one → stored]
      b: [get k → one]
      `,
      'b get k → found "one"',
    );
    rejected(
      `
      a:                [put k one → ?
      b: [get k → one]
      `,
      'b get k → found "one"',
    );
  });

  it('writes in another order than they happened in', () => {
    rejected(
      `
      a: [put k one → stored]                           [get k → one]
      b:                       [put k two → stored]
      `,
      'a get k → found "one"',
    );
    rejected(
      `
      a: [put k one → stored 7]
      b:                         [put k two → stored 6]
      `,
      'b put k "two" → stored revision 6',
    );
  });

  it('writes in different orders to different readers', () => {
    rejected(
      `
      a: [put k one → stored                ]
      b: [put k two → stored                ]
      c:                                        [get k → one]
      d:                                        [get k → two]
      `,
      'get k → found',
    );
  });

  it('two effects for one idempotency key (F50)', () => {
    rejected(
      `
      a: [put k one id=x → ?
      a:                     [put k one id=x → stored 5]  [put k one id=x → stored 9]
      `,
      'idempotency key x was answered in more than one way',
      'stored revision 5',
      'stored revision 9',
    );
    rejected(
      `
      a: [put k one id=x → stored 5]                         [put k one id=x → stored 5]
      b:                              [put k two → stored 6]                               [get k → one]
      `,
      'b get k → found "one"',
    );
  });

  it('two deletes that both removed the key', () => {
    rejected(
      `
      a: [put k one → stored]  [delete k → deleted  ]
      b:                         [delete k → deleted  ]
      `,
      'a delete k → deleted',
      'b delete k → deleted',
    );
  });

  it('a key that comes back after it was deleted', () => {
    rejected(
      `
      a: [put k one → stored 1]  [delete k → deleted 2]
      b:                                                 [get k → one 1]
      `,
      'b get k → found "one" revision 1',
    );
  });

  it('a revision that a write used before, also across a delete', () => {
    rejected(
      `
      a: [put k one → stored 5]  [delete k → deleted 6]  [put k two → stored 6]
      `,
      'put k "two" → stored revision 6',
    );
  });

  it('a value under a revision that is not its own', () => {
    rejected(
      `
      a: [put k one → stored 5]  [put k two → stored 6]  [get k → two 5]
      `,
      'get k → found "two" revision 5',
    );
  });

  it('a version that skips, repeats or is not 1 after a new create', () => {
    rejected(
      `
      a: [put k one → stored 1 v1]  [put k two → stored 2 v3]
      `,
      'version 3',
    );
    rejected(
      `
      a: [put k one → stored 1 v1]  [delete k → deleted 2]  [put k two → stored 3 v2]
      `,
      'version 2',
    );
  });

  it('a condition that failed although it held, or held although it could not', () => {
    rejected(
      `
      a: [put k one → stored 1]  [put k two if=1 → refused 1]
      `,
      'precondition_failed',
    );
    rejected(
      `
      a: [put k one if-none=* → refused none]
      `,
      'precondition_failed',
    );
    rejected(
      `
      a: [put k one → stored 1]  [put k two if-none=* → stored 2]
      `,
      'if-none-match *',
    );
    rejected(
      `
      a: [put k one if=* → stored 2]
      `,
      'if-match *',
    );
    rejected(
      `
      a: [put k one → stored 1]  [delete k if=1 → missing]
      `,
      'delete k if-match 1 → missing',
    );
  });

  it('an open write both done and not done', () => {
    rejected(
      `
      a: [put k one → stored]  [put k two → ?
      b:                                       [get k → two]  [get k → one]
      `,
      'b get k → found "one"',
    );
  });

  it('an open write done twice, with another between', () => {
    rejected(
      `
      a: [put k one → ?
      b:                 [get k → one]  [put k two → stored]  [get k → one]
      `,
      'b get k → found "one"',
    );
  });
});

describe('a register may show', () => {
  it('either value while a write is open, and then only the new one', () => {
    accepted(`
      a: [put k one → stored]  [put k two → stored                            ]
      b:                         [get k → one] [get k → two] [get k → two]
    `);
  });

  it('an open write at any later time, or never', () => {
    accepted(`
      a: [put k one → stored]  [put k two → ?
      b:                                       [get k → one]  [get k → one]
    `);
    accepted(`
      a: [put k one → stored]  [put k two → ?
      b:                                       [put k three → stored]  [get k → three]  [get k → two]
    `);
  });

  it('an open delete by what it removed', () => {
    accepted(`
      a: [put k one → stored]  [delete k → ?
      b:                                      [get k → one]  [get k → missing]  [delete k → missing]
    `);
  });

  it('an open write only by the version or the revision that is missing in between', () => {
    accepted(`
      a: [put k one → stored 1 v1]  [put k two → ?
      b:                                            [put k three → stored 7 v3]
    `);
    rejected(
      `
      a: [put k one → stored 1 v1]  [put k two → ?
      b:                                            [put k three → stored 2 v3]
      `,
      'version 3',
    );
  });

  it('the first answer to every attempt at one write (F50)', () => {
    accepted(`
      a: [put k one id=x → ?
      a:                     [put k one id=x → stored 5]                          [put k one id=x → stored 5]
      b:                                                  [put k two → stored 6]                               [get k → two]
    `);
  });

  it('the effect of an idempotent write at its first attempt, before the one that was answered', () => {
    accepted(`
      a: [put k one id=x → ?                                    [put k one id=x → stored 5]
      b:                     [get k → one]  [put k two → stored 6]                           [get k → two 6]
    `);
  });

  it('revisions with gaps: all keys of a shard draw from one counter', () => {
    accepted(`
      a: [put k one → stored 5]  [put k two → stored 900]  [delete k → deleted 1000]  [put k three → stored 1001]
    `);
  });

  it('the only order that leaves room for a revision, even if another with the same end was tried before', () => {
    accepted(`
      a: [put k one → stored 5  ]
      b:   [put k two → stored  ]
      c:     [put k three → stored  ]
      d:                               [put k four if=6 → stored 9]
      e: [delete k → ?
    `);
  });

  it('what was refused and certainly not applied, nowhere', () => {
    const history = told(`
      a: [put k one → stored]  [put k two → stored]  [get k → one]
    `).map((op) => (op.value === 'two' ? { ...op, outcome: { kind: 'failed', reason: 'no_leader' } as const } : op));
    expect(checkLinearizable(registerModel, history).ok).toBe(true);
  });

  it('other things under other keys', () => {
    accepted(`
      a: [put k one → stored 5]  [put l two → stored 6]  [get k → one 5]
      b:                         [get l → missing]
    `);
  });
});

describe('a violation', () => {
  it('comes with the shortest prefix, the return that broke it and the longest order that fits', () => {
    const violation = violationOf(`
      a: [put k one → stored 1]  [put k two → stored 2  ]                    [put k four → stored 8]
      b:                           [get k → two 2]  [get k → one 1]  [get k → two 2]
      c: [put l ten → stored 3]
    `);
    expect(violation.key).toBe('k');
    expect(violation.shortest).toBe(true);
    expect(violation.prefix.map(({ client, kind, outcome }) => [client, kind, outcome.kind])).toEqual([
      ['a', 'put', 'stored'],
      ['a', 'put', 'stored'],
      ['b', 'get', 'found'],
      ['b', 'get', 'found'],
    ]);
    expect(violation.culprits).toMatchObject([{ client: 'b', kind: 'get', outcome: { value: 'one' } }]);
    expect(violation.longest?.order.length).toBeGreaterThan(0);
    expect(violation.longest?.blocked.length).toBeGreaterThan(0);
  });

  it('reads like this', () => {
    const { message } = violationOf(`
      a: [put k one → stored 1]  [put k two → stored 2]
      b:                                                 [get k → one 1]
    `);
    expect(message.split('\n').map((line) => line.replace(/ \[\d+, \d+\]$/, ''))).toEqual([
      'key k is not linearizable as a register:',
      '  #2 b get k → found "one" revision 1',
      'cannot be explained by the 3 operations of the key called until then.',
      'The longest order that fits (1 operations):',
      '  #0 a put k "one" → stored revision 1',
      'leaves value "one", revision 1; then none of these can come next:',
      '  #1 a put k "two" → stored revision 2',
      '    by the revisions comes after #2 b get k → found "one" revision 1',
    ]);
  });
});
