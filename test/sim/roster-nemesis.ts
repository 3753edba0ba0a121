/**
 * Nodes that come and go while everything else happens: late ones join, members of shards are changed by hand, nodes are
 * drained. What the product promises is that all of it comes to an end in the calm, and that nobody notices.
 */
import type { AdminService, Answer } from '../../src/kv/server/index.js';
import type { SimScheduler } from './fakes/clock.js';
import type { SimRandom } from './fakes/random.js';
import type { SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

export interface RosterNemesisOptions {
  readonly scheduler: SimScheduler;
  readonly nodes: readonly SimNode[];
  readonly random: SimRandom;
  readonly trace: Trace;
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
/** Of a run: each takes a node off for good. */
const DRAINS_MAX = 2;

export class RosterNemesis {
  readonly #options: RosterNemesisOptions;
  readonly #random: SimRandom;
  #drains = 0;

  constructor(options: RosterNemesisOptions) {
    this.#options = options;
    this.#random = options.random;
  }

  begin(): void {
    const late = this.#options.nodes.find((node) => !node.started);
    if (late !== undefined && this.#random.chance(0.4)) {
      this.#options.trace.add('nemesis', `${late.id} is to join`);
      this.#options.revive(late);
    } else if (this.#drains < DRAINS_MAX && this.#random.chance(0.2)) this.#drain();
    else this.#change();
  }

  #drain(): void {
    const { id } = this.#random.pick(this.#options.nodes);
    this.#ask(
      `drain ${id}`,
      (admin) => admin.removeNode(id, TIMEOUT_MS),
      () => {
        this.#drains++;
      },
    );
  }

  #change(): void {
    const maps = this.#options.nodes.flatMap(({ node }) => node?.maps.map ?? []);
    if (maps.length === 0) return;
    const map = maps.reduce((newest, other) => (other.epoch > newest.epoch ? other : newest));
    const shard = this.#random.pick(map.shards);
    const members = shard.members.map((member) => member.node);
    const others = map.nodes.flatMap(({ id }) => (members.includes(id) ? [] : [id]));
    const add = others.length > 0 && this.#random.chance(0.7) ? [this.#random.pick(others)] : [];
    // Fewer than three only where as many go as come: the loss of one node must not be that of the shard.
    const remove =
      (members.length > 3 || add.length > 0) && this.#random.chance(0.7) ? [this.#random.pick(members)] : [];
    if (add.length + remove.length === 0) return;
    const what = `change s${shard.id} by +${add} -${remove}`;
    this.#ask(what, (admin) => admin.changeMembers(`s${shard.id}`, { add, remove }, TIMEOUT_MS));
  }

  #ask<T>(what: string, call: (admin: AdminService) => Promise<Answer<T>>, done: () => void = () => {}): void {
    const { nodes, trace, failed } = this.#options;
    const node = this.#random.pick(nodes);
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
