import { describe, expect, it } from 'vitest';
import { SimScheduler } from './fakes/clock.js';
import { SimRandom } from './fakes/random.js';
import type { SimNode } from './sim-node.js';
import { SwitchOff } from './switch-off.js';
import { Trace } from './trace.js';

/** What it says to a cluster that answers as it is told to. */
function switchOff(isOk: (now_ms: number) => boolean) {
  const scheduler = new SimScheduler();
  const said: string[] = [];
  const answer = async (what: string, request: object) => {
    said.push(`${what} ${JSON.stringify(request)}`);
    return { ok: isOk(scheduler.now_ms) };
  };
  const admin = {
    setBalance: (request: object) => answer('balance', request),
    changeSettings: (request: object) => answer('settings', request),
  };
  const node = { id: 'n1', clock: { run: (what: () => void) => what() }, node: { admin } } as unknown as SimNode;
  const off = new SwitchOff({
    scheduler,
    nodes: [node],
    random: new SimRandom(1),
    trace: new Trace(scheduler, false),
  });
  return { off, scheduler, said };
}

describe('switching off what a cluster does by itself', () => {
  it('is over only when what was asked for before must have come, and says both again until then', async () => {
    const { off, scheduler, said } = switchOff(() => true);
    off.begin();
    await scheduler.runFor(5_000);
    expect(off.over).toBe(false);
    expect(new Set(said)).toEqual(new Set(['balance {"auto":false}', 'settings {"rebuildAfter_ms":null}']));
    await scheduler.runFor(2_000);
    expect(off.over).toBe(true);
    expect(scheduler.idle).toBe(true);
  });

  it('goes on as long as nobody has confirmed it', async () => {
    const { off, scheduler } = switchOff((now_ms) => now_ms > 20_000);
    off.begin();
    await scheduler.runFor(20_000);
    expect(off.over).toBe(false);
    await scheduler.runFor(1_000);
    expect(off.over).toBe(true);
  });
});
