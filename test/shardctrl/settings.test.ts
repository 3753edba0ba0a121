/** What operators set for the whole cluster. */
import { describe, expect, it } from 'vitest';
import { MemoryController } from './memory-controller.js';

const MINUTE_MS = 60_000;

describe('settings', () => {
  it('rebuild nothing unless somebody has allowed it, also where the state was written before there were any', async () => {
    const controller = await MemoryController.cluster(3, 1);
    expect(controller.machine.settings()).toMatchObject({ rebuildAfter_ms: null });
    expect((await controller.reopened()).machine.settings()).toMatchObject({ rebuildAfter_ms: null });
  });

  it('are kept: over a restart and in what a snapshot carries', async () => {
    const controller = await MemoryController.cluster(3, 1);
    expect(controller.apply({ kind: 'change_settings', rebuildAfter_ms: MINUTE_MS })).toEqual({ kind: 'ok' });
    const other = await controller.reopened();
    expect(other.machine.settings()).toMatchObject({ rebuildAfter_ms: MINUTE_MS });
    expect(other.machine.stateHash()).toBe(controller.machine.stateHash());
    other.apply({ kind: 'change_settings', rebuildAfter_ms: null });
    expect((await other.reopened()).machine.settings()).toMatchObject({ rebuildAfter_ms: null });
  });

  it('make no new epoch, and change nothing where they are set again', async () => {
    const controller = await MemoryController.cluster(3, 1);
    controller.apply({ kind: 'change_settings', rebuildAfter_ms: MINUTE_MS }, 5_000);
    const before = controller.machine.stateHash();
    controller.apply({ kind: 'change_settings', rebuildAfter_ms: MINUTE_MS }, 5_000);
    expect(controller.machine.stateHash()).toBe(before);
    expect(controller.map.epoch).toBe(1);
  });

  it.each([0, -1, 999, 1_000.5])('are refused as they cannot be: %s', async (rebuildAfter_ms) => {
    const controller = await MemoryController.cluster(3, 1);
    expect(controller.apply({ kind: 'change_settings', rebuildAfter_ms })).toMatchObject({ kind: 'malformed' });
    expect(controller.machine.settings()).toMatchObject({ rebuildAfter_ms: null });
  });

  it('have to wait for the cluster to be made', async () => {
    const controller = await MemoryController.open();
    expect(controller.apply({ kind: 'change_settings', rebuildAfter_ms: null })).toEqual({ kind: 'not_initialised' });
  });
});
