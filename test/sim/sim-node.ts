/**
 * One simulated machine: what survives a crash (disk, state files, identity) and the process that runs on it, life after
 * life. The process is the production `ClusterNode`; only its ports are simulated.
 */
import { ClusterNode, type NodeSetup } from '../../src/kv/server/index.js';
import type { Clock, GroupId, PeerAddress, RaftSettings } from '../../src/raft/index.js';
import { LogFullError } from '../../src/raft/log/index.js';
import { SimClock, type SimScheduler } from './fakes/clock.js';
import { type DiskCopy, SimDisk } from './fakes/disk.js';
import { DurableLog, type Promised } from './fakes/durable-log.js';
import type { SimNetwork, SimTransport } from './fakes/network.js';
import { ProcessGone } from './fakes/process-gone.js';
import type { SimRandom } from './fakes/random.js';
import { type EnginesCopy, SimEngines } from './fakes/sim-engine.js';
import { foundAfterPowerCut, SimLog, type SimLogOptions } from './fakes/sim-log.js';
import { SHORT_PAUSE_MS } from './nemesis.js';
import type { Trace } from './trace.js';

export interface SimNodeOptions {
  readonly id: string;
  readonly scheduler: SimScheduler;
  readonly network: SimNetwork;
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly bootstrap: NonNullable<NodeSetup['bootstrap']>;
  /** Peer addresses of the cluster that it is to join; null: it is one of the founders. */
  readonly joins: readonly string[] | null;
  readonly raft: RaftSettings;
  /** How much faster than true time its clock runs. */
  readonly clockRate: number;
  /** Of each sync of its log, at most. */
  readonly sync_ms: number;
  readonly failed: (what: string) => void;
  /** A process or a replica may have come or gone. */
  readonly changed: () => void;
  /** Records are lost between shards: digests must differ then, and nothing worse may come of it. */
  readonly tornPages: boolean;
  /** Some node has come back with another disk: its peers say so. */
  readonly anyWiped: () => boolean;
  /** The process has ended itself, as it must when a sync fails (F33). */
  readonly ended: (node: SimNode) => void;
}

/** Where a node listens for other nodes. */
export const addressOf = (id: string): string => `${id}:7101`;

interface Life {
  readonly clock: SimClock;
  readonly transport: SimTransport;
  readonly log: SimLog;
  readonly node: ClusterNode | null;
}

/** Where a process is to die: amid a step, not between two. */
export interface Death {
  /** Of what it does, or of the changes that it asks its disk for, from now on or from when a segment comes or goes. */
  readonly amid: 'steps' | 'changes' | 'segments';
  /** How many of them it still gets done. */
  readonly after: number;
  /** Of a step: how many continuations of it still run; null: not even the step (clock.ts). */
  readonly continuations: number | null;
  readonly kind: 'kill' | 'power-cut';
  /** Whoever has asked for it starts the process again. */
  readonly died: () => void;
}

/** What the disk did that the product may, and must, notice. */
export type Rot = 'log' | 'row' | 'block';
export type DiskHarm = 'none' | 'rotten' | 'wiped' | 'old';

/** All of a node's disk, as it was in one moment. */
export interface NodeCopy {
  readonly disk: DiskCopy;
  readonly engines: EnginesCopy;
  readonly clusterId: string | null;
}

export class SimNode {
  readonly id: string;
  readonly #options: SimNodeOptions;
  #disk: SimDisk;
  /** Of its disks, the present one last: what a lost one held was rightly counted on. */
  readonly #durable = [new DurableLog()];
  #engines: SimEngines;
  #incarnation: string;
  #clusterId: string | null = null;
  #knownPeers: ReadonlyMap<string, PeerAddress> = new Map();
  #life: Life | null = null;
  #lives = 0;
  readonly #crashListeners = new Set<() => void>();
  /** The next failure to go on is what was asked for. */
  #doomed = false;
  /** In this life a sync fails, or has failed. */
  #syncFails = false;
  #harm: DiskHarm = 'none';
  #death: Death | null = null;
  /** There is a process, although it is nothing yet but a log that opens. */
  #opening = false;

  /** Of its time it is at work by its own account. */
  readonly #busyShare: number;

  constructor(options: SimNodeOptions) {
    this.id = options.id;
    this.#options = options;
    this.#incarnation = `i-${options.id}`;
    this.#disk = this.#newDisk('disk');
    this.#engines = this.#newEngines();
    const busy = options.random.fork('busy');
    this.#busyShare = busy.chance(0.7) ? 0 : busy.between(0.3, 0.9);
  }

  #newEngines(): SimEngines {
    const { random } = this.#options;
    const delays = random.fork('engine');
    // On some nodes whoever reads waits for the disk, and much happens between two rows.
    const reads = random.fork('slow reads');
    const slow = reads.chance(0.15);
    const now: Clock = {
      monotonic_ms: () => this.#life!.clock.monotonic_ms(),
      wall_ms: () => this.#life!.clock.wall_ms(),
      after: (delay_ms, run) => this.#life!.clock.after(delay_ms, run),
      soon: (run) => this.#life!.clock.soon(run),
    };
    return new SimEngines({
      clock: now,
      delay_ms: (operation) => (slow && operation === 'read' ? reads.between(0.02, 30) : delays.between(0.02, 0.4)),
    });
  }

  /** Its process has run, now or before. */
  get started(): boolean {
    return this.#lives > 0;
  }

  /** Peer addresses of the cluster that it is to join; null: it is one of the founders. */
  get joins(): readonly string[] | null {
    return this.#options.joins;
  }

  get founder(): boolean {
    return this.joins === null;
  }

  get up(): boolean {
    return this.#life !== null;
  }

  /** null while it is down or starting. */
  get node(): ClusterNode | null {
    return this.#life?.node ?? null;
  }

  get clock(): SimClock | null {
    return this.#life?.clock ?? null;
  }

  /** Whether its disk holds, or held until it was lost, this entry for certain. */
  holds(group: GroupId, index: number, term: number): boolean {
    return this.#durable.some((durable) => durable.holds(group, index, term));
  }

  /** Whether its disk says, or said until it was lost, that this entry was committed. */
  knows(group: GroupId, index: number): boolean {
    return this.#durable.some((durable) => durable.knows(group, index));
  }

  /** What its disk holds of states, in use or not. */
  get engines(): readonly string[] {
    return this.#engines.names();
  }

  get paused(): boolean {
    return this.#life?.clock.paused === true;
  }

  /** Runs once, when the present life ends. The answer cancels it. */
  onCrash(run: () => void): () => void {
    this.#crashListeners.add(run);
    return () => this.#crashListeners.delete(run);
  }

  async start(): Promise<void> {
    const { id, scheduler, network, random, trace, bootstrap, joins, raft, clockRate } = this.#options;
    if (this.#life !== null) return;
    const number = ++this.#lives;
    this.#syncFails = false;
    const stream = random.fork(`life-${number}`);
    const clock = new SimClock(scheduler, { rate: clockRate });
    this.#arm(clock);
    trace.add(id, 'starts');
    const log = this.#openLog({
      disk: this.#disk,
      durable: this.#durable.at(-1)!,
      lost: (what) => {
        if (!this.unreliable) this.#options.failed(`${id} has lost what was durable: ${what}`);
      },
      clock,
      random: stream.fork('log'),
      syncLatencyMin_ms: Math.min(0.2, this.#options.sync_ms / 4),
      syncLatencyMax_ms: this.#options.sync_ms,
    });
    if (log === null) return;
    network.restart(id);
    const transport = network.open({
      self: id,
      address: addressOf(id),
      incarnation: this.#incarnation,
      clusterId: () => this.#clusterId,
      admit: (peer) => this.#life?.node?.admit(peer.node) ?? null,
      clock,
    });
    const life: { -readonly [K in keyof Life]: Life[K] } = { clock, transport, log, node: null };
    this.#life = life;
    const alive = (): boolean => this.#life === life;
    const fatal = (error: Error): void => {
      if (alive()) this.#endItself(error);
    };
    log.onFailure(fatal);
    const setup: NodeSetup = {
      self: { id, http: `${id}:80`, peer: addressOf(id), labels: {}, incarnation: this.#incarnation },
      clusterId: this.#clusterId,
      bootstrap: joins === null ? bootstrap : null,
      join: joins ?? [],
      knownPeers: this.#knownPeers,
      raft,
      maxOperations: 10_000,
    };
    const started = ClusterNode.start(
      setup,
      {
        clock,
        random: stream.fork('node'),
        log,
        transport,
        engines: this.#engines.ofOneLife(),
        busy_ms: () => this.#busyShare * clock.monotonic_ms(),
      },
      {
        event: (level, text, fields) => {
          if (!alive()) return;
          this.#options.changed();
          // A stack names the checkout: the trace of a seed is the same in all of them.
          const { stack: _, ...told } = fields;
          trace.add(id, `${level} ${text} ${JSON.stringify(told)}`);
          if (level === 'error' && !this.#excused(text, fields))
            this.#options.failed(`${id}: ${text} ${JSON.stringify(fields)}`);
        },
        fatal,
        joined: (clusterId) => {
          if (alive()) this.#clusterId = clusterId;
        },
        peers: (peers) => {
          this.#knownPeers = peers;
        },
      },
    );
    const node = await started.catch((error: Error) => (alive() ? this.#refusedToStart(error) : null));
    if (!alive() || node === null) return;
    life.node = node;
    this.#options.changed();
  }

  /** The process that runs, or the next one that is started, dies amid what it does. null: it lives on. */
  dieAmid(death: Death | null): void {
    this.#death = death;
    const die = (): void => this.#dieNow(death!);
    if (death === null || death.amid === 'steps') this.#disk.interrupt(null);
    else this.#disk.interrupt({ after: death.after, fromNextFile: death.amid === 'segments', die });
    if (this.#life !== null) this.#arm(this.#life.clock);
  }

  #arm(clock: SimClock): void {
    const death = this.#death;
    if (death?.amid !== 'steps') clock.interrupt(null);
    else clock.interrupt({ ...death, die: () => this.#dieNow(death) });
  }

  #dieNow(death: Death): void {
    const { amid, continuations, kind } = death;
    const where = continuations === null ? 'before one' : `${continuations} continuations into one`;
    this.#options.trace.add(this.id, `dies amid its ${amid}${amid === 'steps' ? `, ${where}` : ''}`);
    this.crash(kind);
    death.died();
  }

  // ------------------------------------------------------------------------------------------------ what the disk does

  /** What the disk did for good: such a node need not serve again. */
  get harm(): DiskHarm {
    return this.#harm;
  }

  /**
   * Its disk does not hold what was written to it: such a node may end, or never start again. One with an old copy of its disk
   * has no such excuse: the copy is whole, and from then on as good a disk as any.
   */
  get unreliable(): boolean {
    return this.#harm === 'rotten' || this.#harm === 'wiped';
  }

  /** The next sync fails, and the process must end: what was not synced is as lost as after a power cut (F33). */
  failSync(): void {
    if (this.#life === null) return;
    this.#doomed = true;
    this.#syncFails = true;
    this.#disk.failNextSync(Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' }));
  }

  /** Room for `free_bytes` more in the log, or for any (F36). */
  limitDisk(free_bytes: number): void {
    this.#disk.limitTo(this.#disk.usedBytes() + free_bytes);
  }

  /** From now on each sync takes this long, at most (F37). */
  setSyncLatency(max_ms: number | null, min_ms?: number): void {
    const most_ms = max_ms ?? this.#options.sync_ms;
    this.#life?.log.setSyncLatency(min_ms ?? most_ms / 4, most_ms);
  }

  /**
   * Bits flip at rest: in the log of a process that is down, in rows also under one that runs (F34, F38). Of a block nothing can be read
   * any more.
   */
  rot(random: SimRandom, where: Rot): string | null {
    const before = this.#harm;
    this.#harm = 'rotten';
    if (where === 'log') {
      const flipped = this.#disk.flipSomewhere();
      if (flipped !== null) return `${flipped.name} at ${flipped.byte}`;
    } else {
      for (const name of random.shuffle(this.#engines.names())) {
        const key = where === 'row' ? this.#engines.flipBit(name, random) : this.#engines.spoil(name, random);
        if (key !== null) return `${where} ${key.toString('hex')} of ${name}`;
      }
    }
    this.#harm = before;
    return null;
  }

  /** Another disk, empty, and so another incarnation (F25). Only while it is down. */
  wipe(): void {
    if (this.#life !== null) throw new Error('a disk is wiped under a process that runs');
    this.#harm = 'wiped';
    this.#disk = this.#newDisk('second disk');
    this.#durable.push(new DurableLog());
    this.#engines = this.#newEngines();
    this.#incarnation = `${this.#incarnation}-2`;
    this.#clusterId = null;
    this.#knownPeers = new Map();
  }

  copy(): NodeCopy {
    return { disk: this.#disk.copy(), engines: this.#engines.copy(), clusterId: this.#clusterId };
  }

  /** Its disk as it once was (F26). Only while it is down. */
  putBack(copy: NodeCopy): void {
    if (this.#life !== null) throw new Error('a disk is exchanged under a process that runs');
    this.#harm = 'old';
    this.#disk.putBack(copy.disk);
    this.#engines.putBack(copy.engines);
    this.#clusterId = copy.clusterId;
    // Nothing that only the later disk held may be counted on any more (old-copy.ts).
    this.#durable.pop();
    this.#durable.push(new DurableLog());
  }

  /** What others may count on, of each group. */
  promised(): ReadonlyMap<GroupId, Promised> {
    return this.#durable.at(-1)!.promised();
  }

  #newDisk(name: string): SimDisk {
    const { id, random, failed } = this.#options;
    const syncedAgain = (): void => failed(`${id} has synced again after a sync that failed (F33)`);
    return new SimDisk({ random: random.fork(name), name: id, syncedAgain, removed: () => this.#segmentGone() });
  }

  /** A segment has gone: what it held is nobody's any more, or lies elsewhere, durably (F32). */
  #segmentGone(): void {
    const { failed, random } = this.#options;
    if (this.unreliable) return;
    const missing = this.#durable.at(-1)!.missingIn(foundAfterPowerCut(this.#disk, random.fork('audit')));
    if (missing !== null) failed(`${this.id} would have lost by a power cut what is durable: ${missing}`);
  }

  /** null: the log can't be read, and its disk is to blame; or the process has died over it. */
  #openLog(options: SimLogOptions): SimLog | null {
    this.#opening = true;
    try {
      return new SimLog(options);
    } catch (error) {
      if (error instanceof ProcessGone) return null;
      const passing = this.#doomed || error instanceof LogFullError;
      if (!passing && this.#harm !== 'rotten') throw error;
      this.#options.trace.add(this.id, `cannot open its log: ${(error as Error).message}`);
      if (this.#doomed) this.#disk.crash();
      this.#doomed = false;
      // There will be space again; and the next sync does not fail.
      if (passing) this.#options.ended(this);
      return null;
    } finally {
      this.#opening = false;
    }
  }

  /** A process whose disk is to blame may refuse to start, for good. */
  #refusedToStart(error: Error): null {
    if (!this.unreliable) throw error;
    this.#options.trace.add(this.id, `refuses to start: ${error.message}`);
    this.crash('kill');
    return null;
  }

  #endItself(error: Error): void {
    if (!this.#doomed && !this.unreliable) {
      this.#options.failed(`${this.id} cannot go on: ${error.stack}`);
      return;
    }
    this.#doomed = false;
    this.#options.trace.add(this.id, `ends itself: ${error.message}`);
    this.crash('power-cut');
    this.#options.ended(this);
  }

  /** An error that the log of a node may show because of what was done to its disk, or was asked of it. */
  #excused(text: string, fields: Readonly<Record<string, unknown>>): boolean {
    // Whoever waited for the log when its sync failed says so, before the process ends or as it does.
    if (this.#syncFails && JSON.stringify(fields).includes('EIO: i/o error, fdatasync')) return true;
    if (this.#options.tornPages && /^digests .*differ/.test(`${fields['reason'] ?? text}`)) return true;
    if (text === 'a plan fails') return isShortPause(`${fields['reason']}`);
    if (/wrong_incarnation/.test(text)) return this.#options.anyWiped();
    // Whether what it has found may be is judged by who has asked (final-verification.ts).
    if (text === 'a verification has ended') return true;
    // One that has left is told so.
    if (/not_admitted: .* has left/.test(text)) return true;
    switch (this.#harm) {
      case 'rotten':
        return /damage|corrupt/.test(text);
      case 'old':
        // That is how it is found out; anything else would be news.
        return /^replica is damaged and stops: .*the log lost entries$/.test(text);
      case 'wiped':
        return true;
      case 'none':
        return false;
    }
  }

  /** kill -9, or the power goes: what was not synced is lost in part or in whole. */
  crash(kind: 'kill' | 'power-cut'): void {
    const life = this.#life;
    if (life === null && !this.#opening) return;
    this.#doomed = false;
    this.#death = null;
    this.#options.trace.add(this.id, `crashes (${kind})`);
    this.#life = null;
    this.#options.changed();
    life?.clock.stop();
    this.#options.network.crash(this.id, kind === 'kill' ? 'process' : 'host');
    const chance = this.#options.random.fork(`crash-${this.#lives}`);
    if (kind === 'kill') this.#disk.kill();
    else this.#disk.crash();
    this.#engines.crash(chance, kind);
    const listeners = [...this.#crashListeners];
    this.#crashListeners.clear();
    for (const run of listeners) run();
  }
}

/** As in "… were never installed within the pause of 40 ms (max_pause_ms)". */
function isShortPause(reason: string): boolean {
  const pause = /within the pause of (\d+) ms/.exec(reason)?.[1];
  return pause !== undefined && Number(pause) <= SHORT_PAUSE_MS;
}
