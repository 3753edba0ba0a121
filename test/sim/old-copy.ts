/**
 * A node whose disk is put back as it once was (F26): log, states and identity, all of one moment, so that nothing in it tells
 * that it is old. The node has forgotten votes it has given and entries it has confirmed.
 *
 * What must hold then? Where a group has counted on what is forgotten, nothing can: if an entry was on this node and on one
 * other of three, and that one is away, the third one and this one are a majority that never had the entry; no protocol can
 * tell them from one that never was asked. That is the loss of a majority, as if two disks had been lost. But where all
 * others hold what this node has ever promised, and no leader of a term that it has forgotten can come to it once more, it has
 * nothing to take from anybody: every invariant must go on holding, for this node too. So the copy is put back as soon
 * as the others can do without the node, and nothing is excused but this: the leader that has counted on it may find it out,
 * and then its replica stops ("the log lost entries") and need not serve again. One that is not found out, because there is a new leader
 * who believes nothing of it, must become whole again and agree with the others.
 *
 * Who the others are is what the group's configuration says. An old one, which the copy would bring back, names whom the group
 * has let go since: such a replica may lack what is committed, and this node and it may be a majority of the members of then. So
 * where members change, a copy is put back only under the configurations that it was taken under, of all groups of the node,
 * and only while no other replica knows of another one.
 */
import type { ConfState, GroupId, Replica } from '../../src/raft/index.js';
import type { SimScheduler } from './fakes/clock.js';
import type { Promised } from './fakes/durable-log.js';
import type { SimRandom } from './fakes/random.js';
import type { NodeCopy, SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

export interface OldCopyOptions {
  readonly scheduler: SimScheduler;
  readonly random: SimRandom;
  readonly nodes: readonly SimNode[];
  readonly trace: Trace;
  /** Members of groups change meanwhile. */
  readonly membersChange: boolean;
  /** The last entry of a group that anybody has seen committed. */
  readonly committed: (group: GroupId) => { readonly index: number; readonly term: number } | null;
  /** False: this node's harm would be one too many. */
  readonly allowed: (node: SimNode) => boolean;
  /** This node is the one. */
  readonly claim: (node: SimNode) => void;
  readonly reviveWithin: (node: SimNode, limit_ms: number) => void;
}

/** By group: its configuration, as text. */
type Bonds = ReadonlyMap<GroupId, string>;

/** What is to be put back. */
interface Copy {
  readonly disk: NodeCopy;
  /** null: nothing changes. */
  readonly bonds: Bonds | null;
}

const LOOK_MS = 50;
/** If the others can't do without the node by then, it keeps its disk: other faults need it back. */
const LIMIT_MS = 8_000;
const AGE_MAX_MS = 15_000;
/** Where members change: hardly ever do they stay the same for longer. */
const AGE_MAX_WHILE_MEMBERS_CHANGE_MS = 3_000;

export class OldCopy {
  readonly #options: OldCopyOptions;
  #taken = false;
  #active = true;

  constructor(options: OldCopyOptions) {
    this.#options = options;
  }

  /** Copies the disk of a node, and puts it back some time later. */
  begin(node: SimNode): void {
    const { allowed, membersChange, random, scheduler, trace } = this.#options;
    if (this.#taken || !allowed(node)) return;
    const bonds = membersChange ? bondsOf(node) : null;
    // Its members are being changed, or it is not known who they are.
    if (membersChange && bonds === null) return;
    this.#taken = true;
    trace.add('nemesis', `the disk of ${node.id} is copied`);
    const copy = { disk: node.copy(), bonds };
    const age_ms = random.between(500, membersChange ? AGE_MAX_WHILE_MEMBERS_CHANGE_MS : AGE_MAX_MS);
    scheduler.after(age_ms, () => this.#exchange(node, copy, scheduler.now_ms + LIMIT_MS));
  }

  /** Whoever starts the node meanwhile finds it off again. */
  #exchange(node: SimNode, copy: Copy, until_ms: number): void {
    const { allowed, claim, random, reviveWithin, scheduler, trace } = this.#options;
    if (!this.#active) return;
    node.crash('power-cut');
    const may = scheduler.now_ms < until_ms && allowed(node) && hasGroupsOf(node, copy.bonds);
    if (may && !this.#dispensable(node, copy.bonds)) {
      scheduler.after(LOOK_MS, () => this.#exchange(node, copy, until_ms));
      return;
    }
    this.#taken = false;
    if (may) {
      trace.add('nemesis', `${node.id} gets an old copy of its disk`);
      claim(node);
      node.putBack(copy.disk);
    }
    reviveWithin(node, random.pick([5, 500, 5_000]));
  }

  /** All others of each of its groups hold what it has promised, and what was committed. */
  #dispensable(node: SimNode, bonds: Bonds | null): boolean {
    for (const [group, promised] of node.promised()) {
      const others = this.#options.nodes.filter((other) => other !== node && other.promised().has(group));
      // Nobody else has the group: it was retired, and nobody votes for this node.
      if (others.length === 0) continue;
      if (bonds !== null && !others.every((other) => bondOf(other, group) === bonds.get(group))) return false;
      const members = others
        .map((other) => other.node?.host.get(group))
        .find((replica) => replica !== undefined)?.members;
      if (members === undefined) return false;
      for (const { node: id } of members) {
        const other = this.#options.nodes.find((candidate) => candidate.id === id)!;
        if (other !== node && !this.#holdsAll(other, group, promised)) return false;
      }
    }
    return true;
  }

  #holdsAll(other: SimNode, group: GroupId, forgotten: Promised): boolean {
    const replica = other.node?.host.get(group);
    const own = other.promised().get(group);
    if (replica === undefined || replica.damage !== null || own === undefined) return false;
    const committed = this.#options.committed(group);
    if (committed !== null && !other.holds(group, committed.index, committed.term)) return false;
    if (own.term !== forgotten.term) return own.term > forgotten.term;
    return isDecided(replica, own) && other.holds(group, forgotten.last, forgotten.lastTerm);
  }

  /** From now on everybody keeps the disk that it has. */
  end(): void {
    this.#active = false;
  }
}

/** As its own replica knows it; null: it does not, or it is between two. */
function bondOf(node: SimNode, group: GroupId): string | null {
  const replica = node.node?.host.get(group);
  return replica === undefined || replica.damage !== null ? null : textOf(replica.conf);
}

function textOf({ voters, outgoing, learners }: ConfState): string | null {
  if (outgoing.length + learners.length > 0) return null;
  const ids = voters.map(({ id, node }) => `${id} ${node}`);
  return ids.sort().join();
}

/** null: not all of them are known, settled, and on the disk. */
function bondsOf(node: SimNode): Bonds | null {
  const bonds = new Map<GroupId, string>();
  for (const [group, { last }] of node.promised()) {
    const bond = bondOf(node, group);
    if (bond === null || node.node!.host.get(group)!.confIndex > last) return null;
    bonds.set(group, bond);
  }
  return bonds;
}

/** It has promised nothing in any other group since, nor has any of them gone. */
function hasGroupsOf(node: SimNode, bonds: Bonds | null): boolean {
  const groups = node.promised();
  return bonds === null || (groups.size === bonds.size && [...groups.keys()].every((group) => bonds.has(group)));
}

/**
 * In its term this one neither campaigns any more, nor does it vote again: the forgotten vote can't be given anew, by this
 * node or to it, so as to make a second leader.
 */
const isDecided = (replica: Replica, own: Promised): boolean => own.vote !== 0 && replica.role !== 'candidate';
