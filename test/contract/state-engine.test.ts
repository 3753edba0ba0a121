import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLevelEngines } from '../../src/kv/store/engine/index.js';
import type { Clock } from '../../src/raft/index.js';
import { spoilBlock } from '../kv/store/engine/level-image.js';
import { SimRandom } from '../sim/fakes/random.js';
import { SimEngines } from '../sim/fakes/sim-engine.js';
import { type StateEnginesHarness, stateEngineContract } from './state-engine.contract.js';

stateEngineContract('LevelDB', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'quorate-engine-'));
  return {
    engines: await openLevelEngines({ directory }),
    restart: () => openLevelEngines({ directory }),
    spoil: async (name) => spoilBlock(join(directory, name)),
    cleanup: () => rm(directory, { recursive: true }),
  };
});

const simulated = (engines: SimEngines): StateEnginesHarness => ({
  engines,
  restart: async () => engines,
  spoil: async (name) => {
    engines.spoil(name, new SimRandom('spoil'));
  },
  cleanup: async () => undefined,
});

stateEngineContract('simulator, no clock', async () => {
  const engines = new SimEngines();
  return simulated(engines);
});

/** Real timers, so that events of different delay interleave. */
const clock: Clock = {
  monotonic_ms: () => performance.now(),
  wall_ms: () => Date.now(),
  after: (delay_ms, run) => {
    const timer = setTimeout(run, delay_ms);
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (run) => void setImmediate(run),
};

stateEngineContract('simulator, delayed by a clock', async () => {
  let turn = 0;
  const engines = new SimEngines({ clock, delay_ms: () => turn++ % 3 });
  return simulated(engines);
});
