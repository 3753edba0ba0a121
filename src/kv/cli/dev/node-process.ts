/**
 * One node's process under `dev`: started, started again with growing pauses when it dies, stopped in the end.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, renameSync, statSync } from 'node:fs';
import { environmentName } from '../../server/config.js';
import { DEV_CHILD_VARIABLE } from '../dev-child.js';
import type { NodeFiles } from './dev-directory.js';

const BACKOFF_MS = { first: 500, max: 10_000 } as const;
/** A node that has run so long starts afresh with the shortest pause. */
const STEADY_MS = 30_000;
const LOG_BYTES_MAX = 16 * 1024 * 1024;

/** What makes one node differ from the next: taken from its own file, never from the environment of all. */
const PER_NODE = [
  'id',
  'data_dir',
  'listen.http',
  'listen.peer',
  'advertise.http',
  'advertise.peer',
  'bootstrap.nodes',
  'bootstrap.shards',
  'bootstrap.replicas',
  'join',
].map(environmentName);

export interface NodeProcessOptions {
  readonly files: NodeFiles;
  /** Program and first arguments; `node --config FILE` follows. */
  readonly program: readonly string[];
  readonly restart: boolean;
  readonly say: (line: string) => void;
  /** Called after each death that was not asked for. */
  readonly died: (node: NodeProcess) => void;
}

function childEnvironment(): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env, [DEV_CHILD_VARIABLE]: '1' };
  for (const name of [...PER_NODE, 'QUORATE_CONFIG']) delete env[name];
  return env;
}

export class NodeProcess {
  readonly #options: NodeProcessOptions;
  #child: ChildProcess | null = null;
  #timer: NodeJS.Timeout | null = null;
  #stopping = false;
  #pause_ms: number = BACKOFF_MS.first;
  /** Deaths since it last ran steadily. */
  #deaths = 0;
  #gone: Promise<void> = Promise.resolve();

  constructor(options: NodeProcessOptions) {
    this.#options = options;
  }

  get files(): NodeFiles {
    return this.#options.files;
  }

  get deaths(): number {
    return this.#deaths;
  }

  get running(): boolean {
    return this.#child !== null;
  }

  start(): void {
    const { files, program } = this.#options;
    const [command, ...args] = program;
    if (command === undefined) throw new Error('invariant: a program has a name');
    if (existsSync(files.log) && statSync(files.log).size > LOG_BYTES_MAX) renameSync(files.log, `${files.log}.1`);
    const log = openSync(files.log, 'a');
    const started_ms = performance.now();
    // A session of its own: Ctrl-C reaches `dev` alone, which then stops its nodes in order. The channel tells a node when
    // `dev` has ended, however that came about.
    const child = spawn(command, [...args, 'node', '--config', files.config], {
      stdio: ['ignore', log, log, 'ipc'],
      detached: true,
      env: childEnvironment(),
    });
    closeSync(log);
    this.#child = child;
    this.#gone = new Promise((resolve) => {
      const ended = (how: string) => {
        if (this.#child !== child) return;
        this.#child = null;
        resolve();
        this.#ended(how, performance.now() - started_ms);
      };
      child.once('error', (error) => ended(error.message));
      child.once('exit', (code, signal) => ended(signal ?? `exit code ${code}`));
    });
  }

  #ended(how: string, lived_ms: number): void {
    if (this.#stopping) return;
    const { files, restart, say, died } = this.#options;
    if (lived_ms > STEADY_MS) {
      this.#pause_ms = BACKOFF_MS.first;
      this.#deaths = 0;
    }
    this.#deaths++;
    if (restart) {
      const pause_ms = this.#pause_ms;
      this.#pause_ms = Math.min(BACKOFF_MS.max, pause_ms * 2);
      say(`${files.id} died (${how}); starting it again in ${pause_ms / 1_000} s; its log: ${files.log}`);
      this.#timer = setTimeout(() => this.start(), pause_ms);
    } else {
      say(`${files.id} died (${how}) and stays dead (--no-restart); its log: ${files.log}`);
    }
    died(this);
  }

  /** SIGTERM, and SIGKILL to whoever has not ended after `grace_ms`. */
  async stop(grace_ms: number): Promise<void> {
    this.#stopping = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const child = this.#child;
    if (child === null) return;
    child.kill('SIGTERM');
    const killer = setTimeout(() => child.kill('SIGKILL'), grace_ms);
    await this.#gone;
    clearTimeout(killer);
  }

  kill(): void {
    this.#stopping = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#child?.kill('SIGKILL');
  }
}
