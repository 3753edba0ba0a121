/**
 * A run from its first process to its last: cluster, clients and probes are started, the lanes do harm until the time is up,
 * then comes calm, in which everything must be served and every plan must end; then what the clients saw is judged.
 */

import { setMaxListeners } from 'node:events';
import { availableParallelism, loadavg } from 'node:os';
import { SimRandom } from '../sim/fakes/random.js';
import type { ChaosOptions } from './arguments.js';
import type { Feasible } from './feasible.js';
import { Journal } from './journal.js';
import { runFaults } from './lanes/fault-lane.js';
import { changeLeaders } from './lanes/leaders-lane.js';
import { MembersLane } from './lanes/members-lane.js';
import { ReshardLane } from './lanes/reshard-lane.js';
import { pause } from './pause.js';
import { removeKeys } from './remove-keys.js';
import type { RunRecord } from './report/run-record.js';
import { LocalSite } from './site/local-site.js';
import { ClusterWatch } from './watch/cluster-watch.js';
import { ServiceProbe } from './watch/service-probe.js';
import type { Finding, WorkloadRun } from './workloads/workload.js';

/** In the calm, for what was begun: a plan or a new member copies little here, but the machine may be slow. */
const END_LIMIT_MS = 60_000;
/** Clients answer within ten seconds; whoever does not end long after that hangs. */
const WORKLOAD_LIMIT_MS = 60_000;
const MAX_SHOWN = 200;

export interface ChaosPorts {
  readonly say: (line: string) => void;
  /** Somebody wants it to end. */
  readonly interrupt: AbortSignal;
  /** What must be taken away should this process have to end at once; null: nothing any more. */
  readonly onSite: (site: LocalSite | null) => void;
  /** Called while the logs of the nodes are still there. */
  readonly beforeClose: (site: LocalSite, wrong: boolean) => void;
}

export interface RunResult {
  readonly record: RunRecord;
  readonly runs: readonly NamedRun[];
}

export interface NamedRun {
  readonly name: string;
  readonly run: WorkloadRun;
}

export async function runChaos(options: ChaosOptions, plan: Feasible, ports: ChaosPorts): Promise<RunResult> {
  const random = new SimRandom(options.seed);
  const began_ms = performance.now();
  // The run's own clock begins when the cluster stands.
  let zero_ms = began_ms;
  const journal = new Journal(() => performance.now() - zero_ms, ports.say);
  const foreign = options.endpoints.length > 0;
  const site = foreign ? null : await openSite(options, plan, journal, random);
  ports.onSite(site);
  zero_ms = performance.now();
  const course = new Course(options, plan, { journal, random, site, interrupt: ports.interrupt });
  try {
    await course.run();
  } catch (error) {
    journal.crash(`the harness failed: ${(error as Error).stack ?? String(error)}`);
  } finally {
    await course.close();
    if (site !== null) ports.beforeClose(site, course.wrong);
    await site?.close();
    ports.onSite(null);
  }
  return { record: course.record(), runs: course.runs };
}

function openSite(options: ChaosOptions, plan: Feasible, journal: Journal, random: SimRandom): Promise<LocalSite> {
  const { nodes, shards, replicas } = options;
  const { network, smallDisks, faketime } = plan;
  const spareSeats = plan.replaces ? 1 : 0;
  return LocalSite.open({ nodes, spareSeats, shards, replicas, network, smallDisks, faketime, journal, random });
}

interface CoursePorts {
  readonly journal: Journal;
  readonly random: SimRandom;
  readonly site: LocalSite | null;
  readonly interrupt: AbortSignal;
}

class Course {
  readonly runs: readonly NamedRun[];
  readonly #options: ChaosOptions;
  readonly #plan: Feasible;
  readonly #ports: CoursePorts;
  readonly #endpoints: readonly string[];
  readonly #prefix: string;
  readonly #watch: ClusterWatch;
  readonly #probe: ServiceProbe;
  readonly #clientsStop = new AbortController();
  #members: MembersLane | null = null;
  #findings: Finding[] = [];
  #end_ms: number | null = null;

  constructor(options: ChaosOptions, plan: Feasible, ports: CoursePorts) {
    this.#options = options;
    this.#plan = plan;
    this.#ports = ports;
    setMaxListeners(0, this.#clientsStop.signal);
    const { journal, random, site } = ports;
    this.#endpoints = site === null ? options.endpoints : site.seats.endpoints;
    // A cluster of others may have seen this seed before; keys must be new.
    this.#prefix = `chaos/${options.seed}-${Date.now().toString(36)}/`;
    const now = (): number => journal.now();
    const common = { endpoints: this.#endpoints, prefix: this.#prefix, now };
    this.#watch = new ClusterWatch(this.#endpoints, journal);
    site?.learn(() => ({
      leaders: this.#watch.leaders,
      members: this.#watch.view?.nodes.map(({ id }) => id) ?? [],
    }));
    this.#probe = new ServiceProbe({ ...common, watch: this.#watch, random: random.fork('probe') });
    const context = { ...common, signal: this.#clientsStop.signal };
    this.runs = options.workloads.map(({ name, start }) => ({
      name,
      run: start({ ...context, random: random.fork(name) }),
    }));
  }

  async run(): Promise<void> {
    const { journal, random, interrupt } = this.#ports;
    await this.#watch.start();
    await Promise.all(this.runs.map(({ run }) => run.prepare()));
    this.#probe.start();
    const clients = Promise.all(this.runs.map(({ run }) => run.run()));
    // Awaited later; until then a failure is not to be taken for one that nobody looks at.
    clients.catch((error: unknown) => journal.crash(`a client failed: ${(error as Error).stack}`));
    const over = firstOf(this.#options.time_ms, [interrupt, journal.crashed]);
    const common = { journal, random, signal: over };
    const reshards = new ReshardLane({
      ...common,
      endpoints: this.#endpoints,
      watch: this.#watch,
      restore: this.#ports.site === null,
      nodeLost: () => (this.#ports.site?.spent.size ?? 0) > 0,
    });
    await Promise.all([
      this.#faults(over),
      this.#options.reshard ? reshards.run() : pause(this.#options.time_ms, over),
      this.#options.members ? this.#changeMembers(over) : null,
    ]);
    await this.#calm(reshards);
    this.#clientsStop.abort();
    await within(WORKLOAD_LIMIT_MS, clients);
    await this.#finish();
  }

  async #faults(over: AbortSignal): Promise<void> {
    const { site, journal, random } = this.#ports;
    if (site === null || this.#plan.nemeses.length === 0) return pause(this.#options.time_ms, over);
    await runFaults({
      nemeses: this.#plan.nemeses,
      site,
      journal,
      probe: this.#probe,
      random: random.fork('faults'),
      limit_ms: this.#options.limit_ms,
      signal: over,
    });
  }

  async #changeMembers(signal: AbortSignal): Promise<void> {
    const { site, journal } = this.#ports;
    const [watch, random] = [this.#watch, this.#ports.random.fork('members')];
    if (site === null) {
      const endpoints = (): readonly string[] => this.#endpoints;
      this.#findings.push(...(await changeLeaders({ endpoints, watch, journal, random, signal })));
      return;
    }
    const { replicas } = this.#options;
    this.#members = new MembersLane({ site, watch, journal, random, signal, replicas });
    await this.#members.run();
  }

  /** Nothing is wrong with the cluster any more: now it must serve, and what it has begun must end. */
  async #calm(reshards: ReshardLane): Promise<void> {
    const { journal, site } = this.#ports;
    for (const id of site?.ids ?? []) site?.start(id);
    const calm_ms = journal.now();
    const served = await this.#probe.whenServed(calm_ms, this.#options.limit_ms);
    if (served === null) {
      const unserved = this.#probe.unservedSince(calm_ms).join(', ');
      journal.stall(`${unserved} not served within ${this.#options.limit_ms / 1000} s of calm`);
    }
    await Promise.all([reshards.finish(END_LIMIT_MS), this.#members?.finish(END_LIMIT_MS)]);
    // After a crash it could only say in many words who is not there.
    if (journal.crashes.length === 0) await this.#members?.check(END_LIMIT_MS);
    this.#findings.push(...(this.#members?.findings ?? []));
  }

  async #finish(): Promise<void> {
    const { journal, site } = this.#ports;
    for (const { name, run } of this.runs) {
      try {
        await run.finish();
      } catch (error) {
        journal.stall(`${name}: ${(error as Error).message}`);
      }
    }
    // The checker may take its time, and all of this process's: that is no time of the cluster.
    await this.#watched();
    this.#findings.push(...this.runs.flatMap(({ run }) => run.judge()));
    if (site === null) await removeKeys(this.#endpoints, this.#prefix);
  }

  /** The end of what is measured. */
  async #watched(): Promise<void> {
    this.#end_ms ??= this.#ports.journal.now();
    await this.#probe.stop();
    await this.#watch.stop();
  }

  async close(): Promise<void> {
    this.#clientsStop.abort();
    await this.#watched();
    for (const { run } of this.runs) run.close();
  }

  /** So that it is worth keeping what the nodes have logged. */
  get wrong(): boolean {
    const { crashes, stalls } = this.#ports.journal;
    return this.#findings.length + crashes.length + stalls.length > 0;
  }

  record(): RunRecord {
    const { journal, interrupt } = this.#ports;
    return {
      command: commandOf(this.#options),
      cluster: this.#describe(),
      machine: `${availableParallelism()} cores, load ${loadavg()[0]!.toFixed(1)} at the end`,
      run_ms: this.#end_ms ?? journal.now(),
      limit_ms: this.#options.limit_ms,
      journal,
      samples: this.#probe.samples,
      workloads: this.runs.map(({ name, run }) => ({
        name,
        operations: run.history.operations(),
        extra: run.extraLines?.().length ?? 0,
      })),
      findings: this.#findings.slice(0, MAX_SHOWN),
      skipped: this.#plan.skipped,
      interrupted: interrupt.aborted,
    };
  }

  #describe(): string {
    const { nodes, shards, replicas, endpoints } = this.#options;
    if (endpoints.length > 0) return `the cluster at ${endpoints.join(', ')}`;
    const links = this.#plan.network === 'proxy' ? 'links through proxies' : 'a network namespace for each node';
    const seats = this.#plan.replaces ? ` that come and go in ${nodes + 1} seats` : '';
    return `${nodes} nodes${seats}, ${shards} shards at first, ${replicas} replicas, ${links}`;
  }
}

/** Aborts when the time is up, or with the first of the signals. Not `AbortSignal.any`: what it makes may be collected while awaited. */
function firstOf(time_ms: number, signals: readonly AbortSignal[]): AbortSignal {
  const first = new AbortController();
  // A lane or a client at a time listens; there are many of them.
  setMaxListeners(0, first.signal);
  const timer = setTimeout(() => first.abort(), time_ms);
  const end = (): void => {
    clearTimeout(timer);
    first.abort();
  };
  for (const signal of signals) {
    if (signal.aborted) end();
    signal.addEventListener('abort', end, { once: true });
  }
  return first.signal;
}

async function within(limit_ms: number, work: Promise<unknown>): Promise<void> {
  const late = new AbortController();
  const timer = pause(limit_ms, late.signal).then(() => {
    if (!late.signal.aborted) throw new Error(`clients did not end within ${limit_ms / 1000} s`);
  });
  await Promise.race([work, timer]).finally(() => late.abort());
}

/** Same seed, same faults on the same victims at about the same times; processes are not as exact as a simulator. */
function commandOf(options: ChaosOptions): string {
  const { time_ms, nemesisNames, seed, nodes, shards, endpoints, reshard, nemeses } = options;
  const named =
    nemesisNames.length > 0 ? nemesisNames.join(',') : nemeses.length > 0 ? 'all' : reshard ? 'reshard' : 'none';
  const shape =
    endpoints.length > 0 ? [`--endpoints ${endpoints.join(',')}`] : [`--nodes ${nodes}`, `--shards ${shards}`];
  return ['npm run chaos --', `--time ${time_ms / 1000}s`, `--nemesis ${named}`, `--seed ${seed}`, ...shape].join(' ');
}
