/**
 * A whole cluster on this machine: a process for each node, watched over until somebody ends it all.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClusterView, HttpSend } from '../../client/index.js';
import { CliError } from '../cli-error.js';
import { baseUrl, type NodeFiles } from './dev-directory.js';
import { NodeProcess } from './node-process.js';
import { probeCluster } from './readiness.js';

const POLL_MS = 150;
const PATIENCE_MS = 15_000;
const STOP_GRACE_MS = 5_000;
/** A node that dies so often before the cluster is up will not come up. */
const DEATHS_MAX = 3;

export interface SupervisorOptions {
  readonly nodes: readonly NodeFiles[];
  readonly program: readonly string[];
  readonly restart: boolean;
  readonly send: HttpSend;
  readonly say: (line: string) => void;
}

export class DevSupervisor {
  readonly #options: SupervisorOptions;
  readonly #processes: readonly NodeProcess[];
  #hopeless: CliError | null = null;
  #stopped = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    const { program, restart, say } = options;
    this.#processes = options.nodes.map(
      (files) => new NodeProcess({ files, program, restart, say, died: (node) => this.#died(node) }),
    );
  }

  start(): void {
    for (const node of this.#processes) node.start();
  }

  #died(node: NodeProcess): void {
    const none = this.#processes.every((other) => !other.running);
    const { restart } = this.#options;
    if (node.deaths < DEATHS_MAX && (restart || !none)) return;
    this.#hopeless ??= new CliError(`${node.files.id} does not start: ${lastWords(node.files)}; see ${node.files.log}`);
  }

  /** The cluster once every shard has a leader and every node that runs is ready; null where it was stopped before. */
  async ready(): Promise<ClusterView | null> {
    const { send, say } = this.#options;
    let reminder_ms = performance.now() + PATIENCE_MS;
    for (;;) {
      if (this.#stopped) return null;
      if (this.#hopeless !== null) throw this.#hopeless;
      // A node that stays dead is nobody to wait for.
      const awaited = this.#processes.filter((node) => this.#options.restart || node.running);
      const state = await probeCluster(
        awaited.map((node) => baseUrl(node.files)),
        send,
      );
      if (state.ready) return state.view;
      if (performance.now() > reminder_ms) {
        reminder_ms += PATIENCE_MS;
        if (!this.#stopped) say(`still waiting: ${state.waitingFor}; the nodes' logs: ${this.#logs()}`);
      }
      await sleep(POLL_MS);
    }
  }

  #logs(): string {
    return this.#processes.map((node) => node.files.log).join(' ');
  }

  /** Resolves when no node is left. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#processes.map((node) => node.stop(STOP_GRACE_MS)));
  }

  /** At once, without asking. */
  kill(): void {
    this.#stopped = true;
    for (const node of this.#processes) node.kill();
  }
}

/** The last line a node wrote: most often why it died. */
function lastWords({ log }: NodeFiles): string {
  try {
    const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
    return lines.at(-1)?.slice(0, 300) ?? 'it said nothing';
  } catch {
    return 'it said nothing';
  }
}
