/**
 * Nodes that come and go while everything else happens: late ones join, members of shards are changed by hand, nodes are
 * drained; and in some seeds nodes stay away for so long that what they held is rebuilt elsewhere, and come back while that
 * goes on, or after it. What the product promises is that all of it comes to an end in the calm, and that nobody notices.
 *
 * Where a disk may be lost for good beside that (`members_harm`), a majority of each group must be left of whatever its members
 * become. So groups have three members at least, of which one at most is lost: nothing is taken from a shard without
 * anything in its place, and of two configurations on the way from one to the other each has its majority. And only the
 * node that has lost its disk is drained: for what leaves another one there might be no place but on a disk that is gone.
 */
import type { AdminService, Answer } from '../../src/kv/server/index.js';
import { groupsOf } from '../../src/shardctrl/index.js';
import type { SimScheduler } from './fakes/clock.js';
import type { SimRandom } from './fakes/random.js';
import { newestMap } from './newest-map.js';
import type { SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

export interface RosterNemesisOptions {
  readonly scheduler: SimScheduler;
  readonly nodes: readonly SimNode[];
  readonly random: SimRandom;
  readonly trace: Trace;
  /** A node may lose its disk meanwhile. */
  readonly harm: boolean;
  readonly revive: (node: SimNode) => void;
  readonly failed: (what: string) => void;
}

/** What may be answered while a cluster suffers, by a node with an old map, or where it cannot be done. */
const EXPECTED: ReadonlySet<string> = new Set([
  'conflict',
  'no_leader',
  'not_found',
  'outcome_unknown',
  'plan_impossible',
  'unavailable',
]);
const TIMEOUT_MS = 4_000;
/** Ten seconds of silence make a node down; then it is for the setting to say when it has been so for too long. */
const AWAY_MS = [13_000, 35_000] as const;
const REBUILD_AFTER_MS: readonly (number | null)[] = [1_000, 1_000, 1_000, 4_000, null];
/** Of a run: each takes a node off for good. */
const DRAINS_MAX = 2;
/** Of what is asked for, where no node is to join any more. */
const DRAINS = 0.2;
/** In some runs, until there are no more nodes than replicas, and beyond: what is asked for then must be refused (F41). */
const DRAINS_TO_THE_LAST = 0.6;
/** As few as may lose one. */
const MEMBERS_MIN = 3;

export class RosterNemesis {
  readonly #options: RosterNemesisOptions;
  readonly #random: SimRandom;
  /** Of what came later: all else is drawn as it was before. null: nothing is rebuilt in this run. */
  readonly #rebuilds: SimRandom | null;
  readonly #toTheLast: boolean;
  #drains = 0;
  #rebuildAfter_ms: number | null = null;
  #awayUntil_ms = 0;

  constructor(options: RosterNemesisOptions) {
    this.#options = options;
    this.#random = options.random;
    const rebuilds = options.random.fork('rebuilds');
    this.#rebuilds = rebuilds.chance(0.5) ? rebuilds : null;
    this.#toTheLast = options.random.fork('to the last').chance(0.4);
  }

  begin(): void {
    if (this.#rebuilds !== null) this.#rebuild(this.#rebuilds);
    const late = this.#options.nodes.find((node) => !node.started);
    if (late !== undefined && this.#random.chance(0.4)) {
      this.#options.trace.add('nemesis', `${late.id} is to join`);
      this.#options.revive(late);
    } else if (this.#drainIsDue()) this.#drain();
    else this.#change();
  }

  #rebuild(random: SimRandom): void {
    const { scheduler, nodes, trace, revive } = this.#options;
    // Only where there is a node more than a shard needs there is a place to rebuild anything.
    const late = nodes.find((node) => !node.started);
    if (late !== undefined) return revive(late);
    if (this.#rebuildAfter_ms === null || random.chance(0.1)) {
      const rebuildAfter_ms = random.pick(REBUILD_AFTER_MS);
      const what = `rebuild after ${rebuildAfter_ms} ms`;
      const done = (): void => {
        this.#rebuildAfter_ms = rebuildAfter_ms;
      };
      this.#ask(what, (admin) => admin.changeSettings({ rebuildAfter_ms }, TIMEOUT_MS), done, random);
    }
    if (scheduler.now_ms < this.#awayUntil_ms || !random.chance(0.6)) return;
    const shards = newestMap(this.#options.nodes)?.shards ?? [];
    const hosts = nodes.filter(({ id }) => shards.some(({ members }) => members.some((member) => member.node === id)));
    if (hosts.length === 0) return;
    const node = random.pick(hosts);
    const { clock } = node;
    if (clock === null || node.paused) return;
    // One at a time: of the loss of two no shard of three recovers.
    const away_ms = random.between(...AWAY_MS);
    this.#awayUntil_ms = scheduler.now_ms + away_ms;
    trace.add('nemesis', `${node.id} stays away for ${away_ms.toFixed(0)} ms`);
    clock.pause();
    scheduler.after(away_ms, () => clock.resume());
  }

  /** Of this node's loss, for good, each group recovers: it is one of at least three, and nobody waits for it to take anything over. */
  mayLose(node: SimNode): boolean {
    const map = newestMap(this.#options.nodes);
    if (!this.#options.harm || map === null || !map.nodes.some(({ id }) => id === node.id)) return false;
    return map.draining.length === 0 && groupsOf(map).every(([, { members }]) => members.length >= MEMBERS_MIN);
  }

  #drainIsDue(): boolean {
    if (this.#toTheLast) return this.#random.chance(DRAINS_TO_THE_LAST);
    return this.#drains < DRAINS_MAX && this.#random.chance(DRAINS);
  }

  #drain(): void {
    const { harm, nodes } = this.#options;
    const lost = nodes.find((node) => node.harm !== 'none');
    if (harm && lost === undefined) return this.#change();
    const { id } = lost ?? this.#random.pick(nodes);
    this.#ask(
      `drain ${id}`,
      (admin) => admin.removeNode(id, TIMEOUT_MS),
      () => {
        this.#drains++;
      },
    );
  }

  #change(): void {
    const map = newestMap(this.#options.nodes);
    if (map === null) return;
    const shard = this.#random.pick(map.shards);
    const members = shard.members.map((member) => member.node);
    const isLost = (id: string): boolean => this.#options.nodes.some((node) => node.id === id && node.harm !== 'none');
    const others = map.nodes.flatMap(({ id }) => (members.includes(id) || isLost(id) ? [] : [id]));
    const add = others.length > 0 && this.#random.chance(0.7) ? [this.#random.pick(others)] : [];
    // Fewer than three only where as many go as come: the loss of one node must not be that of the shard.
    const spare = members.length > MEMBERS_MIN && !this.#options.harm;
    const remove = (spare || add.length > 0) && this.#random.chance(0.7) ? [this.#random.pick(members)] : [];
    if (add.length + remove.length === 0) return;
    const what = `change s${shard.id} by +${add} -${remove}`;
    this.#ask(what, (admin) => admin.changeMembers(`s${shard.id}`, { add, remove }, TIMEOUT_MS));
  }

  #ask<T>(
    what: string,
    call: (admin: AdminService) => Promise<Answer<T>>,
    done: () => void = () => {},
    random = this.#random,
  ): void {
    const { nodes, trace, failed } = this.#options;
    const node = random.pick(nodes);
    const admin = node.node?.admin;
    if (admin === undefined) return;
    trace.add('nemesis', `asks ${node.id} to ${what}`);
    node.clock?.run(() => {
      void call(admin).then((answer) => {
        trace.add('nemesis', answer.ok ? `begun: ${what}` : `refused: ${answer.error.code}`);
        if (answer.ok) done();
        else if (!EXPECTED.has(answer.error.code)) {
          failed(`to ${what} was refused with ${answer.error.code}: ${answer.error.detail}`);
        }
      });
    });
  }
}
