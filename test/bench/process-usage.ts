/** What processes of this machine take of it, as Linux tells in /proc. */
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LocalNode } from '../e2e/local-cluster.js';

/** What the kernel counts time in there, whatever it does inside. */
const TICKS_PER_S = 100;
const KIB = 1024;
const MIB = 1024 * KIB;
const LOOK_EVERY_MS = 100;

export interface Memory {
  /** All pages that are in memory, also those of mapped files: the kernel takes these back where it needs the room. */
  readonly resident_bytes: number;
  /** Without those of files: what nobody can take back. */
  readonly own_bytes: number;
}

export function pidOf(node: LocalNode): number {
  const pid = node.process?.pid;
  if (pid === undefined) throw new Error(`${node.id} does not run`);
  return pid;
}

/** Of all its threads, in the kernel and outside, since it began. */
function cpuTime_ms(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The program's name stands in brackets, and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_S;
}

/** Of one core, from now on for so long. */
export async function cpuShares(pids: readonly number[], duration_ms: number): Promise<number[]> {
  const before_ms = pids.map(cpuTime_ms);
  const began_ms = performance.now();
  await sleep(duration_ms);
  const took_ms = performance.now() - began_ms;
  return pids.map((pid, i) => (cpuTime_ms(pid) - before_ms[i]!) / took_ms);
}

function statusOf(pid: number): (field: string) => number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return (field) => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * KIB;
}

export function memoryOf(pid: number): Memory {
  const bytes = statusOf(pid);
  return { resident_bytes: bytes('VmRSS'), own_bytes: bytes('RssAnon') };
}

/**
 * The most that processes have in memory while work is done. The kernel itself keeps the peak of resident pages, and is told
 * to begin anew (where that is not allowed, it is the peak of the process's life); the rest is looked at ten times a second.
 */
export async function watchMemory<T>(
  pids: readonly number[],
  work: () => Promise<T>,
): Promise<{ readonly value: T; readonly peaks: ReadonlyMap<number, Memory> }> {
  for (const pid of pids) forgetPeak(pid);
  const peaks = new Map<number, Memory>(pids.map((pid) => [pid, memoryOf(pid)]));
  const look = (): void => {
    for (const [pid, peak] of peaks) peaks.set(pid, highest(peak, pid));
  };
  const timer = setInterval(look, LOOK_EVERY_MS);
  try {
    const value = await work();
    look();
    return { value, peaks };
  } finally {
    clearInterval(timer);
  }
}

function highest(peak: Memory, pid: number): Memory {
  const bytes = statusOf(pid);
  return {
    resident_bytes: Math.max(peak.resident_bytes, bytes('VmHWM')),
    own_bytes: Math.max(peak.own_bytes, bytes('RssAnon')),
  };
}

function forgetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
  } catch {
    // Not where this is not allowed: then the peak is that of the whole life.
  }
}

export const mib = (bytes: number): string => `${Math.round(bytes / MIB)} MiB`;
