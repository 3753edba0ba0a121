/** The door of the room: engines for applied state on LevelDB. */
export { EngineDamagedError } from './engine-damaged-error.js';
export { type LevelEnginesOptions, openLevelEngines } from './level-engines.js';
export type { LogRepair } from './level-log-repair.js';
