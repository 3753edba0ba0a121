/**
 * What a node's log has said is durable: the terms of each group's entries, by index. It outlives the process, as the disk
 * does, and knows nothing of how the log keeps its word.
 */
import type { GroupId, LogWrite, RecoveredGroup } from '../../../src/raft/index.js';

/** What a replica may have told others, for all of this was durable: they may count on it. */
export interface Promised {
  readonly term: number;
  /** 0: nobody has it. */
  readonly vote: number;
  readonly last: number;
  readonly lastTerm: number;
}

interface DurableGroup {
  term: number;
  vote: number;
  /** Known to be committed by whoever opens the log again. */
  commit: number;
  /** Everything up to here is covered by a snapshot, or was compacted. */
  base: number;
  baseTerm: number;
  /** Terms of the entries that follow. */
  terms: number[];
}

export class DurableLog {
  readonly #groups = new Map<GroupId, DurableGroup>();
  /** Of replicas that are gone. */
  readonly #former: { readonly id: GroupId; readonly group: DurableGroup }[] = [];
  readonly #pending = new Set<LogWrite>();
  /** Asked for before their group was removed: they begin no other one, although they may be acknowledged only after that. */
  readonly #outlived = new WeakSet<LogWrite>();
  /** They may go any time now, and were durable when others counted on them. */
  readonly #removed = new Set<GroupId>();

  /** A write is on its way: it may reach the disk, whether or not anybody hears of it. */
  asked(write: LogWrite): void {
    this.#pending.add(write);
  }

  /** A write was acknowledged. */
  wrote(write: LogWrite): void {
    const { group: id, hardState, snapshot, entries } = write;
    this.#pending.delete(write);
    let group = this.#groups.get(id);
    if (snapshot !== null || group === undefined) {
      const promised = { term: group?.term ?? 0, vote: group?.vote ?? 0, commit: group?.commit ?? 0 };
      if (!this.#outlived.has(write) && this.#removed.delete(id)) this.#retire(id);
      const base = snapshot?.index ?? (entries[0]?.index ?? 1) - 1;
      group = { ...promised, base, baseTerm: snapshot?.term ?? 0, terms: [] };
      this.#groups.set(id, group);
    }
    if (hardState !== null) {
      const { term, vote, commit } = hardState;
      Object.assign(group, { term, vote, commit });
    }
    const first = entries[0];
    if (first === undefined) return;
    group.terms.length = Math.max(0, Math.min(group.terms.length, first.index - 1 - group.base));
    for (const entry of entries) group.terms.push(entry.term);
  }

  removed(group: GroupId): void {
    this.#removed.add(group);
    for (const write of this.#pending) if (write.group === group) this.#outlived.add(write);
  }

  /** A member that has left may remove what was rightly counted on as long as it was one. */
  #retire(id: GroupId): void {
    const group = this.#groups.get(id);
    if (group !== undefined) this.#former.push({ id, group });
    this.#groups.delete(id);
  }

  /** What must be in a log that is read, and is not, or null. */
  missingIn(recovered: ReadonlyMap<GroupId, RecoveredGroup>): string | null {
    return this.#losses(recovered).values().next().value ?? null;
  }

  /** By group, of those that have lost anything. */
  #losses(recovered: ReadonlyMap<GroupId, RecoveredGroup>): ReadonlyMap<GroupId, string> {
    const losses = new Map<GroupId, string>();
    for (const id of this.#groups.keys()) {
      const lost = this.#lost(id, recovered.get(id));
      if (lost !== null) losses.set(id, lost);
    }
    return losses;
  }

  /**
   * The log opens again. What was found is what is durable from here on, for a sync that nobody was told of may have
   * succeeded, too. Returns what must be there and is not, or null; of such a group the book stays as it is: what has
   * rotted was rightly counted on.
   */
  reopened(recovered: ReadonlyMap<GroupId, RecoveredGroup>): string | null {
    const losses = this.#losses(recovered);
    for (const id of new Set([...this.#groups.keys(), ...recovered.keys()])) {
      const found = recovered.get(id);
      if (losses.has(id)) continue;
      if (found === undefined) this.#retire(id);
      else this.#groups.set(id, asDurable(found));
    }
    this.#pending.clear();
    return losses.values().next().value ?? null;
  }

  #lost(id: GroupId, found: RecoveredGroup | undefined): string | null {
    const group = this.#groups.get(id);
    const term = group?.terms.at(-1);
    if (group === undefined || term === undefined || this.#removed.has(id)) return null;
    const last = group.base + group.terms.length;
    if (found !== undefined && found.compacted.index >= last) return null;
    const entry = found?.entries[last - found.compacted.index - 1];
    if (entry?.term === term || this.#replaced(id, last)) return null;
    const now = entry === undefined ? 'none' : `one of term ${entry.term}`;
    return `entry ${last} of group ${id}, of term ${term}, was durable; now there is ${now}`;
  }

  /** By a write that nobody heard of any more. */
  #replaced(id: GroupId, at: number): boolean {
    return [...this.#pending].some(
      ({ group, snapshot, entries }) => group === id && (snapshot !== null || (entries[0]?.index ?? at + 1) <= at),
    );
  }

  /** Of each group that was not removed. */
  promised(): ReadonlyMap<GroupId, Promised> {
    const promised = new Map<GroupId, Promised>();
    for (const [id, { term, vote, base, baseTerm, terms }] of this.#groups) {
      if (!this.#removed.has(id))
        promised.set(id, { term, vote, last: base + terms.length, lastTerm: terms.at(-1) ?? baseTerm });
    }
    return promised;
  }

  /** The disk says that this entry was committed, or covered by a snapshot. */
  knows(id: GroupId, index: number): boolean {
    const group = this.#groups.get(id);
    return group !== undefined && Math.max(group.commit, group.base) >= index;
  }

  holds(id: GroupId, index: number, term: number): boolean {
    const former = this.#former.flatMap((one) => (one.id === id ? [one.group] : []));
    const now = this.#groups.get(id);
    const books = now === undefined ? former : [now, ...former];
    return books.some(({ base, terms }) => index <= base || terms[index - base - 1] === term);
  }
}

function asDurable({ hardState, compacted, entries }: RecoveredGroup): DurableGroup {
  const { term, vote, commit } = hardState;
  return {
    term,
    vote,
    commit,
    base: compacted.index,
    baseTerm: compacted.term,
    terms: entries.map((entry) => entry.term),
  };
}
