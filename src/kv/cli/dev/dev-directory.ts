/**
 * The directory of a development cluster:
 *
 * ```
 * DIR/quorate-dev.json   what the cluster was made of; also the mark by which the directory is known as ours
 * DIR/dev.pid            who runs it now
 * DIR/n1/node.yaml       written at every start
 * DIR/n1/data/           the node's data
 * DIR/n1/node.log        what it says; the previous one is node.log.1
 * ```
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { CliError } from '../cli-error.js';

const FORMAT = 1;
const MARKER = 'quorate-dev.json';
const LOCK = 'dev.pid';
export const PEER_PORT_OFFSET = 100;

const markerSchema = z.strictObject({
  format: z.literal(FORMAT),
  nodes: z.int().min(2),
  shards: z.int().min(1),
  replicas: z.int().min(2),
  /** Of the first node's HTTP when the directory was made; peers know each other by ports counted from it. */
  port: z.int().min(1),
});

/** What a cluster is made of; fixed when its directory is made. */
export interface Shape {
  readonly nodes: number;
  readonly shards: number;
  readonly replicas: number;
  readonly port: number;
}

export interface NodeFiles {
  readonly id: string;
  readonly directory: string;
  readonly config: string;
  readonly log: string;
  readonly httpPort: number;
  readonly peerPort: number;
}

const HOST = '127.0.0.1';

/** null: nothing is there yet. Throws where something is that is not ours, or of a version that we do not know. */
export function readShape(directory: string): Shape | null {
  const file = join(directory, MARKER);
  if (!existsSync(file)) {
    if (existsSync(directory) && readdirSync(directory).some((name) => name !== LOCK)) {
      throw new CliError(
        `${directory} holds something else than a development cluster; name another directory with --data`,
      );
    }
    return null;
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    throw new CliError(`${file} is damaged; --fresh throws the directory's data away and starts anew`);
  }
  const marker = markerSchema.safeParse(parsed);
  if (!marker.success) {
    throw new CliError(`${file} is of a version that this program does not know; use another directory with --data`);
  }
  const { nodes, shards, replicas, port } = marker.data;
  return { nodes, shards, replicas, port };
}

export function writeShape(directory: string, shape: Shape): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, MARKER), `${JSON.stringify({ format: FORMAT, ...shape }, null, 2)}\n`);
}

/** Throws the data away. Refuses a directory that does not bear our mark. The lock must be held, and stays. */
export function wipe(directory: string): void {
  if (!existsSync(directory)) return;
  const found = readdirSync(directory).filter((name) => name !== LOCK);
  if (found.length === 0) return;
  if (!found.includes(MARKER)) {
    throw new CliError(`--fresh: ${directory} does not look like a development cluster, so nothing in it was touched`);
  }
  // The mark goes last: a wipe that was cut off can be repeated.
  for (const name of found) if (name !== MARKER) rmSync(join(directory, name), { recursive: true, force: true });
  rmSync(join(directory, MARKER));
}

export function filesOf(directory: string, shape: Shape, httpPort: number): NodeFiles[] {
  return Array.from({ length: shape.nodes }, (_, i) => {
    const id = `n${i + 1}`;
    const home = join(resolve(directory), id);
    return {
      id,
      directory: home,
      config: join(home, 'node.yaml'),
      log: join(home, 'node.log'),
      httpPort: httpPort + i,
      peerPort: shape.port + PEER_PORT_OFFSET + i,
    };
  });
}

/** Written anew at every start, so that a new version's needs are met; settings are tuned by `QUORATE_*`. */
export function writeNodeConfigs(nodes: readonly NodeFiles[], shape: Shape): void {
  const peers = Object.fromEntries(nodes.map((node) => [node.id, `${HOST}:${node.peerPort}`]));
  for (const node of nodes) {
    mkdirSync(node.directory, { recursive: true });
    const text = stringify({
      id: node.id,
      data_dir: join(node.directory, 'data'),
      listen: { http: `${HOST}:${node.httpPort}`, peer: `${HOST}:${node.peerPort}` },
      bootstrap: { nodes: peers, shards: shape.shards, replicas: shape.replicas },
    });
    writeFileSync(
      node.config,
      `# Written by quorate dev at every start. To tune settings use QUORATE_* variables.\n${text}`,
    );
  }
}

export const baseUrl = (node: NodeFiles): string => `http://${HOST}:${node.httpPort}`;

export interface DirectoryLock {
  /** True: whoever held it before died without giving it back, so its nodes may still be ending. */
  readonly inherited: boolean;
  release(): void;
}

/**
 * When a process began, in the kernel's ticks since boot (field 22 of /proc/PID/stat); empty where that cannot be seen.
 * Tells a process from a later one that was given the same id.
 */
function beginningOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in the second field may hold anything, parentheses too.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

/** `PID BEGINNING`, as the lock file has it. */
function isRunning(owner: string): boolean {
  const [pidText, beginning] = owner.trim().split(' ');
  const pid = Number.parseInt(pidText ?? '', 10);
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const now = beginningOf(pid);
  return now === '' || beginning === undefined || beginning === now;
}

/** A directory that nothing was put into goes as it came. */
function unlock(directory: string, file: string): void {
  rmSync(file, { force: true });
  if (readdirSync(directory).length === 0) rmdirSync(directory);
}

/** One `dev` a directory. Throws where another one runs. */
export function lockDirectory(directory: string): DirectoryLock {
  const file = join(directory, LOCK);
  mkdirSync(directory, { recursive: true });
  let inherited = false;
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const fd = openSync(file, 'wx');
      writeSync(fd, `${process.pid} ${beginningOf(process.pid)}\n`);
      closeSync(fd);
      return { inherited, release: () => unlock(directory, file) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = readFileSync(file, 'utf8');
    if (isRunning(owner)) {
      const pid = owner.split(' ')[0];
      throw new CliError(`another quorate dev (process ${pid}) runs on ${directory}; stop it, or use another --data`);
    }
    inherited = true;
    unlinkSync(file);
  }
  throw new CliError(`cannot take ${file}: another quorate dev is starting on ${directory}`);
}
