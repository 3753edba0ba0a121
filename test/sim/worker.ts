/** A process that runs seeds for `npm run sim`: takes them from its parent, one at a time. */
import type { Fault } from './faults.js';
import { Simulation, type SimulationResult } from './simulation.js';

/** What a worker is asked for. */
export interface Job {
  readonly seed: number;
  readonly seconds: number;
  /** Only these of the faults that the seed draws. */
  readonly only: readonly Fault[] | null;
}

/** What it says of a seed. */
export interface Report {
  readonly result: Omit<SimulationResult, 'trace'>;
  /** Of the process, in user mode: unlike wall time it does not depend on what else the machine does. */
  readonly cpu_ms: number;
}

async function carryOut({ seed, seconds, only }: Job): Promise<Report> {
  const before = process.cpuUsage();
  const simulation = new Simulation({ seed, seconds, keepTrace: false, ...(only === null ? {} : { only }) });
  const { trace: _, ...result } = await simulation.run();
  return { result, cpu_ms: process.cpuUsage(before).user / 1000 };
}

process.on('message', (job: Job) => {
  void carryOut(job).then((report) => process.send?.(report));
});
process.on('disconnect', () => process.exit(0));
