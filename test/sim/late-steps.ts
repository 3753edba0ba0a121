/**
 * Steps of moves that come again, long after: whoever sends one repeats it until it is answered, and the network may hold a
 * repetition up for as long as it likes (F45, F54 to F57). What the network does by itself (`late_rpc`) seldom meets the moment in
 * which an old step could do harm: another round of the same move, or another move of the same slots. So steps are kept as a shard
 * has carried them out, and proposed to its leader again right behind a later one. It is for the guards to refuse them.
 */
import {
  encodeCommand,
  isWrite,
  type KvCommand,
  type KvResult,
  type KvStateMachine,
} from '../../src/kv/store/index.js';
import type { FreezeReceipt } from '../../src/shardctrl/index.js';
import type { SimScheduler } from './fakes/clock.js';
import type { SimRandom } from './fakes/random.js';
import type { Fault } from './faults.js';
import { leaderOf, type ReplicaView } from './invariants/invariant.js';
import type { SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

export interface LateStepsOptions {
  readonly scheduler: SimScheduler;
  readonly nodes: readonly Pick<SimNode, 'id' | 'clock'>[];
  readonly random: SimRandom;
  readonly faults: ReadonlySet<Fault>;
  readonly leaders: () => readonly ReplicaView[];
  readonly trace: Trace;
}

type Step = Extract<KvCommand, { readonly move: number }>;
type Install = Extract<KvCommand, { readonly kind: 'install' }>;

/** Of a shard: some moves back, since most have half a dozen steps here. */
const KEPT_MAX = 24;
const DELAYS_MS = [0, 2, 10, 100] as const;
const NOBODY_WAITS = { applied: () => {}, refused: () => {}, unknown: () => {} };

const roundOf = (step: Step): number => ('round' in step ? step.round : 0);

/** Of a move's steps of one kind there may be several: freezes by round, purges by what they found. */
const nameOf = (step: Step): string =>
  step.kind === 'purge' ? `${step.parts[0]!.slot} ${step.parts[0]!.digest}` : `${roundOf(step)}`;

const isSame = (a: Step, b: Step): boolean => a.kind === b.kind && a.move === b.move && nameOf(a) === nameOf(b);

const isStep = (command: KvCommand): command is Step => !isWrite(command) && 'move' in command;

export class LateSteps {
  readonly #options: LateStepsOptions;
  readonly #likelihood: number;
  readonly #kept = new Map<number, Step[]>();
  /** Sent, or not, to whoever imports: by the digest it is clear that they do no harm, whenever they come. */
  readonly #installs = new Map<number, Install>();

  constructor(options: LateStepsOptions) {
    this.#options = options;
    this.#likelihood = options.faults.has('late_step') ? options.random.between(0.2, 0.8) : 0;
  }

  /** A shard has applied a command, which nobody had applied before. */
  applied(command: KvCommand, answer: KvResult, group: number): void {
    if (this.#likelihood === 0 || !isStep(command)) return;
    const kept = this.#kept.get(group) ?? [];
    this.#kept.set(group, kept);
    // What comes again brings nothing else in its wake.
    if (answer.kind === 'stale' || answer.kind === 'busy' || kept.some((other) => isSame(other, command))) return;
    if (command.kind === 'freeze' && answer.kind === 'frozen') this.#freezes(command, answer.receipt);
    if (this.#options.random.chance(this.#likelihood)) this.#follow(group, command, kept);
    kept.push(command);
    if (kept.length > KEPT_MAX) kept.shift();
  }

  #freezes({ move, round, slots }: Extract<KvCommand, { readonly kind: 'freeze' }>, receipt: FreezeReceipt): void {
    const { digest, revision, clock_ms } = receipt;
    this.#installs.set(move, { kind: 'install', move, round, slots, digest, revision, clock_ms });
  }

  #follow(group: number, command: Step, kept: readonly Step[]): void {
    const { random, scheduler } = this.#options;
    const earlier = kept.filter((other) => other.move === command.move);
    const alike = earlier.filter((other) => other.kind === command.kind);
    const among = [alike, earlier].find((steps) => steps.length > 0 && random.chance(0.6)) ?? kept;
    const late: Step[] = among.length > 0 ? [random.pick(among)] : [];
    // A round that is barred is over, whatever else comes late (F56).
    const install = this.#installs.get(command.move);
    if (command.kind === 'bar' && install !== undefined) late.push(install);
    scheduler.after(random.between(0, random.pick(DELAYS_MS)), () => {
      for (const step of late) this.#propose(group, step);
    });
  }

  #propose(group: number, step: Step): void {
    const { leaders, nodes, trace } = this.#options;
    const leader = leaderOf(leaders(), group);
    if (leader === undefined) return;
    const { clock_ms } = leader.replica.machine as KvStateMachine;
    trace.add('nemesis', `${step.kind} of move ${step.move}, round ${roundOf(step)}, comes to s${group} late`);
    nodes
      .find(({ id }) => id === leader.node)
      ?.clock?.run(() => {
        leader.replica.propose(encodeCommand(step, clock_ms), NOBODY_WAITS);
      });
  }
}
