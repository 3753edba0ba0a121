/**
 * One kind of what a leader says or hears is lost for a moment, and all else arrives; then the leader falls. Whole networks that
 * fail leave leader and followers with the same picture, mostly; here they part:
 *
 *   entries   followers hear from heartbeats what is committed, and not what has followed. If that was the first half of a
 *             change of members, the next leader begins in between (section 4.3 of Ongaro's dissertation, F18); what the old
 *             one has left in its own log is overwritten when it is back (F3).
 *   answers   followers hold what the leader does not know to be committed: the next one has to find out (F2)
 *   beats     followers get entries, and no heartbeat: neither they nor the leader may take that for silence, or for reads (F10)
 */
import { MessageType } from '../../src/raft/core/index.js';
import type { Message } from '../../src/raft/index.js';
import type { SimScheduler } from './fakes/clock.js';
import type { SimNetwork } from './fakes/network.js';
import type { SimRandom } from './fakes/random.js';
import type { ReplicaView } from './invariants/invariant.js';
import { without } from './raft-frames.js';
import type { SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

export interface MuffleOptions {
  readonly scheduler: SimScheduler;
  readonly network: Pick<SimNetwork, 'filterRaft' | 'heal' | 'isolate'>;
  readonly nodes: readonly Pick<SimNode, 'id'>[];
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly leaders: () => readonly ReplicaView[];
  /** Crashes the leader's node and starts it again later. */
  readonly crash: (node: string) => void;
}

type Kind = 'entries' | 'answers' | 'beats';

const LOST: Readonly<Record<Kind, (message: Message) => boolean>> = {
  entries: ({ type, entries }) => type === MessageType.Append && entries.length > 0,
  answers: ({ type, reject }) => type === MessageType.AppendResponse && !reject,
  beats: ({ type }) => type === MessageType.Heartbeat,
};

const KINDS: readonly Kind[] = ['entries', 'entries', 'answers', 'beats'];
/** A heartbeat comes every 100 ms. */
const MUFFLED_MS = [120, 700] as const;
/** Others are to end as they would. */
const HALFWAY = 0.7;
const CUT_OFF_MS = [1_500, 4_000] as const;

export class Muffle {
  readonly #options: MuffleOptions;
  #muffled: ReplicaView | null = null;

  constructor(options: MuffleOptions) {
    this.#options = options;
  }

  begin(): void {
    const { leaders, random } = this.#options;
    const views = leaders();
    if (views.length > 0) this.#muffle(random.pick(views), random.pick(KINDS));
  }

  /** A leader has gone over to another configuration: a joint one, which the next entry leaves, is where to strike. */
  reconfigured(view: ReplicaView): void {
    const { random } = this.#options;
    if (view.replica.conf.outgoing.length > 0 && random.chance(HALFWAY)) this.#muffle(view, 'entries');
  }

  #muffle(view: ReplicaView, kind: Kind): void {
    const { network, random, scheduler, trace } = this.#options;
    if (this.#muffled !== null) return;
    this.#muffled = view;
    trace.add('nemesis', `muffle: ${kind} of ${view.node}, who leads group ${view.group}, are lost`);
    network.filterRaft((frame, from, to) =>
      (kind === 'answers' ? to : from) === view.node ? without(frame, view.group, LOST[kind]) : frame,
    );
    scheduler.after(random.between(...MUFFLED_MS), () => {
      if (this.#muffled === view) this.#fall(view);
    });
  }

  #fall({ node }: ReplicaView): void {
    const { crash, network, nodes, random, scheduler, trace } = this.#options;
    const cutOff = random.chance(0.5);
    trace.add('nemesis', `muffle: ${node} ${cutOff ? 'is cut off' : 'falls'}`);
    this.end();
    if (!cutOff) return crash(node);
    network.isolate(node, nodes);
    scheduler.after(random.between(...CUT_OFF_MS), () => network.heal());
  }

  end(): void {
    this.#muffled = null;
    this.#options.network.filterRaft(null);
  }
}
