/** What cannot be done on a machine is said, never left out silently. */
import { describe, expect, it } from 'vitest';
import { feasible, type Machine } from './feasible.js';
import { NEMESES, nemesesNamed } from './nemeses/catalogue.js';

const PLAIN: Machine = { inside: false, netem: false, faketime: null };
const ROOT: Machine = { inside: true, netem: false, faketime: '/lib/libfaketime.so.1' };

const LANES = { reshard: false, members: false, endpoints: [] };

const wishes = (network: 'auto' | 'proxy' | 'namespaces', ...names: readonly string[]) => ({
  network,
  ...LANES,
  nemeses: names.flatMap((name) => nemesesNamed(name) ?? []),
});

describe('what can be done here', () => {
  it('is less without root, and says what is missing', () => {
    const checked = feasible({ ...LANES, network: 'auto', reshard: true, nemeses: NEMESES }, PLAIN);
    expect(checked.ok && checked.plan.network).toBe('proxy');
    expect(checked.ok && checked.plan.skipped).toEqual([
      'disk-full: a small disk can only be mounted as root on Linux',
      'clock: libfaketime is not installed (or name it in QUORATE_CHAOS_FAKETIME)',
    ]);
  });

  it('prefers packets to proxies, unless links are to be slow and the kernel cannot do that', () => {
    const networkOf = (machine: Machine, ...names: readonly string[]) => {
      const checked = feasible(wishes('auto', ...names), machine);
      return checked.ok && checked.plan.network;
    };
    expect(networkOf(ROOT, 'partition')).toBe('namespaces');
    expect(networkOf(ROOT, 'partition', 'slow')).toBe('proxy');
    expect(networkOf({ ...ROOT, netem: true }, 'partition', 'slow')).toBe('namespaces');
  });

  it('is to let nodes come and go, except where they are not ours', () => {
    const asked = { ...wishes('auto'), members: true };
    expect(feasible(asked, PLAIN)).toMatchObject({ ok: true, plan: { replaces: true, skipped: [] } });
    expect(feasible({ ...asked, endpoints: ['http://127.0.0.1:7001'] }, PLAIN)).toMatchObject({
      ok: true,
      plan: {
        replaces: false,
        skipped: [expect.stringContaining('members: nodes and members of a cluster that is not')],
      },
    });
    expect(feasible(wishes('auto', 'kill'), PLAIN)).toMatchObject({ ok: true, plan: { replaces: false } });
  });

  it('is refused where nothing is left', () => {
    expect(feasible(wishes('auto', 'clock'), PLAIN)).toEqual({
      ok: false,
      message: expect.stringContaining('nothing of it can be done here: clock: libfaketime is not installed'),
    });
    expect(feasible({ ...wishes('auto', 'clock'), members: true }, PLAIN)).toMatchObject({ ok: true });
    expect(feasible(wishes('namespaces', 'kill'), PLAIN)).toMatchObject({ ok: false });
    expect(feasible(wishes('namespaces', 'slow'), ROOT)).toMatchObject({ ok: false });
  });
});
