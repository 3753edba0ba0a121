/**
 * What goes wrong while a slot is being copied. A copy takes a few milliseconds of a minute: what is to happen amid one by
 * chance hardly ever does. So this waits for the page of a move to be applied, or its freeze, and then, each in seeds of its own:
 *
 *   haste     clients write, delete and read what is being copied: changes that have to follow, removals above all (F52); and list it
 *   oust      the controller's leader hands over: its successor aborts the import, and what was on its way comes too late (F55)
 *   hang_up   the connection on which the driver waits for the copy breaks: it asks for all of it again (F56)
 *   late_install  the command to install is under way until the pause is over, and comes when the driver counts on it no more (F56)
 */
import type { KvCommand, KvResult } from '../../src/kv/store/index.js';
import type { SlotRanges } from '../../src/shardctrl/index.js';
import type { SimScheduler } from './fakes/clock.js';
import type { SimNetwork } from './fakes/network.js';
import type { SimRandom } from './fakes/random.js';
import type { Fault } from './faults.js';
import { leaderOf, type ReplicaView } from './invariants/invariant.js';
import { isInstallOf } from './rpc-frames.js';
import type { Trace } from './trace.js';

export type Haste = 'remove' | 'renew' | 'list';

export interface AmbushOptions {
  readonly scheduler: SimScheduler;
  readonly network: SimNetwork;
  readonly random: SimRandom;
  readonly faults: ReadonlySet<Fault>;
  readonly leaders: () => readonly ReplicaView[];
  /** Asks this leader to hand over to another member. */
  readonly handOver: (view: ReplicaView) => void;
  /** Clients turn to keys of these slots at once: mostly to remove them, or to write them anew and read them. */
  readonly hurry: (slots: SlotRanges, what: Haste) => void;
  readonly trace: Trace;
}

/** Of one move. More of them, and the slots never arrive; or what was removed is back before anybody could miss it. */
const HASTES_MAX = 2;
const HANG_UPS_MAX = 2;

const LATE_INSTALLS_MAX = 2;
/** Of a move by hand (see `max_pause_ms`), and of the impatient plans of the nemesis. */
const PAUSES_MS = [
  { least: 10, most: 400 },
  { least: 4_900, most: 9_000 },
] as const;

/** What a move has still to go through. */
interface Victim {
  /** The shard that it takes its slots from. */
  readonly source: number;
  hastes: number;
  hangUps: number;
  lateInstalls: number;
}

/** A driver that never stays long enough for a move would keep every plan from its end. */
const OUST_PAUSE_MS = 4_000;

export class Ambush {
  readonly #options: AmbushOptions;
  readonly #random: SimRandom;
  readonly #lists: SimRandom;
  readonly #haste: number;
  readonly #oust: number;
  readonly #hangUp: number;
  readonly #lateInstall: number;
  readonly #victims = new Map<number, Victim>();
  #nextOust_ms = 0;

  constructor(options: AmbushOptions) {
    this.#options = options;
    const { random, faults } = options;
    this.#random = random;
    this.#lists = random.fork('lists');
    const likelihood = (fault: Fault): number => (faults.has(fault) ? random.between(0.2, 0.9) : 0);
    this.#haste = likelihood('haste');
    this.#oust = likelihood('oust');
    this.#hangUp = likelihood('hang_up');
    this.#lateInstall = likelihood('late_install');
  }

  applied(command: KvCommand, answer: KvResult, group: number): void {
    const { hurry } = this.#options;
    if (answer.kind === 'ok' && command.kind === 'begin_export') this.#victims.set(command.move, this.#victimOf(group));
    if (answer.kind === 'frozen' && command.kind === 'freeze') {
      this.#frozen(command.move);
      // Pages of it are read while the slots change hands (F65).
      if (this.#lists.chance(this.#haste)) this.#soon(() => hurry(command.slots, 'list'));
    }
    // The destination serves, and the source does not know yet that it has given the slots away (F51).
    if (answer.kind === 'installed' && command.kind === 'install' && this.#random.chance(this.#haste))
      this.#soon(() => hurry(command.slots, 'renew'));
    // A page without records leaves nothing behind that could do harm.
    if (answer.kind === 'ok' && command.kind === 'page' && command.records.length > 0)
      this.#copied(command.move, command.slots);
  }

  #victimOf(source: number): Victim {
    return {
      source,
      hastes: this.#random.int(1, HASTES_MAX),
      hangUps: this.#random.int(1, HANG_UPS_MAX),
      lateInstalls: LATE_INSTALLS_MAX,
    };
  }

  #frozen(move: number): void {
    const victim = this.#victims.get(move);
    if (victim === undefined || victim.lateInstalls === 0 || !this.#random.chance(this.#lateInstall)) return;
    victim.lateInstalls--;
    const { least, most } = this.#random.pick(PAUSES_MS);
    this.#options.trace.add('nemesis', `Installs of move ${move} come late`);
    this.#options.network.holdUp((frame) => isInstallOf(frame, move), this.#random.between(least, most));
  }

  #copied(move: number, slots: SlotRanges): void {
    const victim = this.#victims.get(move);
    if (victim === undefined) return;
    if (victim.hastes > 0 && this.#random.chance(this.#haste)) {
      victim.hastes--;
      this.#soon(() => this.#options.hurry(slots, 'remove'));
    }
    if (victim.hangUps > 0 && this.#random.chance(this.#hangUp)) {
      victim.hangUps--;
      this.#soon(() => this.#breakCopy(move, victim.source));
    }
    if (this.#random.chance(this.#oust)) this.#soon(() => this.#oustDriver());
  }

  #soon(strike: () => void): void {
    this.#options.scheduler.after(this.#random.between(0, this.#random.pick([2, 10, 40])), strike);
  }

  #leaderOf(group: number): ReplicaView | undefined {
    return leaderOf(this.#options.leaders(), group);
  }

  #oustDriver(): void {
    const { scheduler, handOver } = this.#options;
    const driver = this.#leaderOf(0);
    if (driver === undefined || scheduler.now_ms < this.#nextOust_ms) return;
    this.#nextOust_ms = scheduler.now_ms + OUST_PAUSE_MS;
    handOver(driver);
  }

  #breakCopy(move: number, from: number): void {
    const { network, trace } = this.#options;
    const driver = this.#leaderOf(0)?.node;
    const source = this.#leaderOf(from)?.node;
    if (driver === undefined || source === undefined || driver === source) return;
    trace.add('nemesis', `the connection from ${driver} to ${source} breaks amid a copy of move ${move}`);
    network.hangUp(driver, source);
  }
}
