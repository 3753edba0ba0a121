import { describe, expect, it } from 'vitest';
import { VisitedConfigurations } from './visited-configurations.js';

describe('visited configurations', () => {
  it('are known by what was placed and by the state', () => {
    const visited = new VisitedConfigurations();
    expect(visited.add('1', 'a', 0, [])).toBe(true);
    expect(visited.add('1', 'a', 0, [])).toBe(false);
    expect(visited.add('2', 'a', 0, [])).toBe(true);
    expect(visited.add('1', 'b', 0, [])).toBe(true);
  });

  it('are searched again at less cost, or with fewer open operations used, and not with more of either', () => {
    const visited = new VisitedConfigurations();
    expect(visited.add('1', 'a', 7, [1, 1])).toBe(true);
    expect(visited.add('1', 'a', 6, [1, 1])).toBe(true);
    expect(visited.add('1', 'a', 7, [0, 1])).toBe(true);
    expect(visited.add('1', 'a', 8, [0, 1])).toBe(false);
    expect(visited.add('1', 'a', 6, [2, 1])).toBe(false);
    expect(visited.add('1', 'a', 5, [2, 0])).toBe(true);
  });
});
