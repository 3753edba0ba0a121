/**
 * A snapshot reaches a follower that has more than it holds, and does not know yet what of it is committed (F8).
 *
 * By disks that are slow, and one connection that breaks. A follower takes entries as fast as they come, but its disk syncs
 * none, so that the leader hears nothing and compacts beyond what it believes the follower has. The others sync now and then:
 * commits come in steps, and entries of the next step have been sent before this one was taken. In the moment of a step
 * the connection to the follower breaks, with the news of it; when it is back, only a snapshot can help as far as the leader knows.
 * Once that has come the follower hears no more, or what it might have thrown away would be sent again, until its
 * disk is done and it has acknowledged all that it had before.
 */
import type { Progress, Replica } from '../../src/raft/index.js';
import type { SimScheduler } from './fakes/clock.js';
import type { SimNetwork } from './fakes/network.js';
import type { SimRandom } from './fakes/random.js';
import type { ReplicaView } from './invariants/invariant.js';
import type { SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

export interface SnapshotRaceOptions {
  readonly scheduler: SimScheduler;
  readonly network: SimNetwork;
  readonly nodes: readonly SimNode[];
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly leaders: () => readonly ReplicaView[];
}

/** So long the race is waited for. */
const LIMIT_MS = 6_000;
const FOLLOWER_SYNC_MS = 5_000;
/** Until the rows of what was just committed are in the engine, and so in the snapshot. */
const ROWS_MS = 50;
/** Long enough for a heartbeat to find the connection gone. */
const SEVERED_MS = 130;
/** How long the snapshot, and then the acknowledgement, is waited for. */
const STREAM_LIMIT_MS = 1_500;
const ACKNOWLEDGED_LIMIT_MS = 8_000;
/** How often the leader's view of the follower is looked at: less than a heartbeat's way there and back. */
const LOOK_MS = 2;

interface Race {
  readonly group: number;
  readonly leader: string;
  readonly follower: string;
}

export class SnapshotRace {
  readonly #options: SnapshotRaceOptions;
  #race: Race | null = null;
  #cut = false;

  constructor(options: SnapshotRaceOptions) {
    this.#options = options;
  }

  begin(): void {
    const { leaders, nodes, random, scheduler, trace } = this.#options;
    if (this.#race !== null) return;
    // One whose log is known to the leader: it is sent entries as they come.
    const pairs = leaders().flatMap(({ node, group, replica }) =>
      group === 0 || replica.members.length < 3
        ? []
        : replica
            .status()
            .progress.filter(({ state, recentActive }) => state === 'replicate' && recentActive)
            .map(({ id }) => ({ leader: node, group, follower: replica.nodeOf(id)! }))
            .filter(({ leader, follower }) => leader !== follower),
    );
    if (pairs.length === 0) return;
    const { leader, group, follower } = random.pick(pairs);
    const race = { group, leader, follower };
    this.#race = race;
    this.#cut = false;
    const step_ms = random.between(300, 900);
    trace.add(
      'nemesis',
      `snapshot race: ${follower} syncs nothing, others but ${leader} every ${step_ms.toFixed(0)} ms`,
    );
    for (const node of nodes) {
      if (node.id === follower) node.setSyncLatency(FOLLOWER_SYNC_MS, FOLLOWER_SYNC_MS / 2);
      else if (node.id !== leader) node.setSyncLatency(step_ms, step_ms / 2);
    }
    scheduler.after(LIMIT_MS, () => {
      if (!this.#cut) this.#over(race);
    });
  }

  /** The leader has just committed something: is the follower in the right place? */
  committed({ node, group, replica }: ReplicaView): void {
    const race = this.#race;
    if (race === null || this.#cut || group !== race.group || node !== race.leader) return;
    const { firstIndex, commit } = replica.status();
    const seen = progressOf(replica, race.follower);
    const compacted = seen !== undefined && seen.match + 1 < firstIndex;
    if (!compacted || seen.state !== 'replicate' || seen.next <= commit + 1) return;
    this.#cut = true;
    const { network, scheduler, trace } = this.#options;
    trace.add('nemesis', `snapshot race: ${race.follower} does not hear that entry ${commit} is committed`);
    network.partition(race.leader, race.follower, true);
    scheduler.after(ROWS_MS, () => {
      network.sever(race.leader, race.follower, SEVERED_MS);
      network.heal();
      const asked = (): boolean => progressOf(replica, race.follower)?.state === 'snapshot';
      this.#await(race, STREAM_LIMIT_MS, asked, () =>
        this.#await(
          race,
          STREAM_LIMIT_MS,
          () => !asked(),
          () => this.#silence(race, replica, commit),
        ),
      );
    });
  }

  /** The snapshot is there. */
  #silence(race: Race, replica: Replica, commit: number): void {
    const { network, nodes, trace } = this.#options;
    trace.add('nemesis', `snapshot race: ${race.follower} has the snapshot and hears nothing more for a while`);
    network.partition(race.leader, race.follower, true);
    for (const node of nodes) node.setSyncLatency(null);
    const acknowledged = (): boolean => (progressOf(replica, race.follower)?.match ?? 0) > commit;
    this.#await(race, ACKNOWLEDGED_LIMIT_MS, acknowledged, () => this.#over(race));
  }

  /** Goes on when it holds; or ends the race when it takes too long. */
  #await(race: Race, limit_ms: number, holds: () => boolean, then: () => void): void {
    const { scheduler } = this.#options;
    const until_ms = scheduler.now_ms + limit_ms;
    const look = (): void => {
      if (this.#race !== race) return;
      if (holds()) then();
      else if (scheduler.now_ms >= until_ms) this.#over(race);
      else scheduler.after(LOOK_MS, look);
    };
    look();
  }

  #over(race: Race): void {
    if (this.#race !== race) return;
    this.#race = null;
    if (this.#cut) this.#options.network.heal();
    for (const node of this.#options.nodes) node.setSyncLatency(null);
  }

  end(): void {
    this.#race = null;
  }
}

/** What the leader believes of the replica on this node. */
function progressOf(leader: Replica, node: string): Progress | undefined {
  return leader.status().progress.find(({ id }) => leader.nodeOf(id) === node);
}
