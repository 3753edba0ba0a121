/**
 * Members of shards, changed by hand: one is replaced, a shard gets one more than it needs, or gives that one up again. Each
 * change is followed to its end. Never are there fewer than every shard should have: the loss of a node must not be that of a
 * shard.
 */
import type { MembersView } from '../../../src/kv/client/index.js';
import type { SimRandom } from '../../sim/fakes/random.js';
import type { FaultSpan } from '../journal.js';
import { askAnyone, type DeedPorts } from './deed.js';

/** How the product calls a change that somebody asked for. */
const BY_HAND = 'asked for by an operator';

export interface Change {
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

interface OpenChange extends Change {
  readonly shard: string;
  readonly what: string;
  readonly span: FaultSpan;
}

export interface ChangeBounds {
  /** Nodes that may get a replica. */
  readonly able: readonly string[];
  /** As many every shard should have. */
  readonly replicas: number;
  /** A newcomer, whom replicas are for; or null. */
  readonly first: string | null;
}

export class HandChanges {
  readonly #ports: DeedPorts;
  /** By shard. */
  readonly #open = new Map<string, OpenChange>();

  constructor(ports: DeedPorts) {
    this.#ports = ports;
  }

  /** In words: what has begun and has not ended. */
  get open(): readonly string[] {
    return [...this.#open.values()].map(({ what }) => what);
  }

  /** Begins one, of a shard drawn from the seed, where none is under way. */
  async begin(random: SimRandom, bounds: ChangeBounds): Promise<void> {
    const shards = (this.#ports.watch.view?.shards ?? []).filter(({ id }) => !this.#open.has(id));
    if (shards.length === 0) return;
    const shard = random.pick(shards).id;
    const members = await this.#settledMembers(random, shard);
    const change = members === null ? null : drawChange(members, bounds, random);
    if (change !== null) await this.#order(random, shard, change);
  }

  /** The node's replica goes from shards that have so many members that they could not all find a place without it. */
  async makeRoom(random: SimRandom, node: string, places: number): Promise<void> {
    for (const { id: shard, members } of this.#ports.watch.view?.shards ?? []) {
      if (this.#open.has(shard) || !members.some((member) => member.node === node)) continue;
      const settled = await this.#settledMembers(random, shard);
      if (settled?.includes(node) === true && settled.length > places)
        await this.#order(random, shard, { add: [], remove: [node] });
    }
  }

  /** null: nobody says, or they are being changed. */
  async #settledMembers(random: SimRandom, shard: string): Promise<readonly string[] | null> {
    const path = `/v1/admin/shards/${shard}/members`;
    const seen = await askAnyone<MembersView>(this.#ports, random, { method: 'GET', path });
    return seen.kind === 'ok' && seen.value.waits_for === null ? seen.value.members : null;
  }

  async #order(random: SimRandom, shard: string, change: Change): Promise<void> {
    const { journal } = this.#ports;
    const asked = `${shard}: ${describe(change)}`;
    const path = `/v1/admin/shards/${shard}/members`;
    const outcome = await askAnyone<MembersView>(this.#ports, random, { method: 'POST', path, body: change });
    if (outcome.kind === 'refused') {
      journal.remark(`change of members refused: ${asked}: ${outcome.why}`);
      return;
    }
    const what = outcome.kind === 'ok' ? asked : `${asked} (perhaps: ${outcome.why})`;
    this.#open.set(shard, { ...change, shard, what, span: journal.begin('members:change', what, 'members') });
  }

  /** Looks once how far they are. */
  async follow(random: SimRandom): Promise<void> {
    for (const change of [...this.#open.values()]) {
      const path = `/v1/admin/shards/${change.shard}/members`;
      const seen = await askAnyone<MembersView>(this.#ports, random, { method: 'GET', path });
      const gone = seen.kind === 'refused' && seen.code === 'not_found';
      const ended = seen.kind === 'ok' ? endOf(change, seen.value) : gone ? 'the shard is gone' : null;
      if (ended === null) continue;
      this.#open.delete(change.shard);
      this.#ports.journal.end(change.span, ended);
    }
  }
}

const describe = ({ add, remove }: Change): string =>
  [...add.map((node) => `${node} in`), ...remove.map((node) => `${node} out`)].join(', ');

/** How a change has ended; null: it has not. */
export function endOf({ add, remove }: Change, { members, waits_for }: MembersView): string | null {
  if (waits_for?.startsWith(BY_HAND) === true) return null;
  const done = add.every((node) => members.includes(node)) && !remove.some((node) => members.includes(node));
  return done ? 'done' : `not so: members are ${members.join(', ')}`;
}

/** null: there is nothing to change. */
export function drawChange(members: readonly string[], bounds: ChangeBounds, random: SimRandom): Change | null {
  const { able, replicas, first } = bounds;
  const others = able.filter((node) => !members.includes(node));
  const kinds: ('add' | 'replace' | 'remove')[] = [];
  if (others.length > 0) kinds.push('replace', 'replace');
  if (others.length > 0 && members.length <= replicas) kinds.push('add');
  if (members.length > replicas) kinds.push('remove');
  if (kinds.length === 0) return null;
  const kind = random.pick(kinds);
  const newcomer = first !== null && others.includes(first) ? first : null;
  return {
    add: kind === 'remove' ? [] : [newcomer ?? random.pick(others)],
    remove: kind === 'add' ? [] : [random.pick(members)],
  };
}
