/** What a leader takes its members for. The stories are told in test/raft/interaction. */
import { describe, expect, it } from 'vitest';
import { MessageType } from '../../../src/raft/core/index.js';
import { leader, message } from './lone-core.js';

describe('a member that has not been heard of for an election timeout', () => {
  it('is called inactive, whatever the others do, and is active again with its next word (section 6.2)', () => {
    const core = leader();
    const active = (): boolean[] => core.status().progress.map((p) => p.recentActive);
    for (let i = 0; i < 9; i++) {
      core.tick();
      core.step(message(MessageType.HeartbeatResponse, 2, 1));
    }
    expect(active()).toEqual([true, true, true]);
    core.tick();
    expect([core.role, active()]).toEqual(['leader', [true, true, false]]);
    core.step(message(MessageType.HeartbeatResponse, 3, 1));
    expect(active()).toEqual([true, true, true]);
  });
});
