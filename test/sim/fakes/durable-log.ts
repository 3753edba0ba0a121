/**
 * What a node's log has said is durable: the terms of each group's entries, by index. It outlives the process, as the disk
 * does, and knows nothing of how the log keeps its word.
 */
import type { GroupId, LogWrite, RecoveredGroup } from '../../../src/raft/index.js';

interface DurableGroup {
  /** Everything up to here is covered by a snapshot, or was compacted. */
  base: number;
  /** Terms of the entries that follow. */
  terms: number[];
}

export class DurableLog {
  #groups = new Map<GroupId, DurableGroup>();
  /** They may go any time now, and were durable when others counted on them. */
  #removed = new Set<GroupId>();

  /** A write was acknowledged. */
  wrote({ group: id, snapshot, entries }: LogWrite): void {
    let group = this.#groups.get(id);
    if (snapshot !== null || group === undefined) {
      this.#removed.delete(id);
      group = { base: snapshot?.index ?? (entries[0]?.index ?? 1) - 1, terms: [] };
      this.#groups.set(id, group);
    }
    const first = entries[0];
    if (first === undefined) return;
    group.terms.length = Math.max(0, Math.min(group.terms.length, first.index - 1 - group.base));
    for (const entry of entries) group.terms.push(entry.term);
  }

  removed(group: GroupId): void {
    this.#removed.add(group);
  }

  /** What a log that opens again must still have, and has not; null: nothing. */
  missing(recovered: ReadonlyMap<GroupId, RecoveredGroup>): string | null {
    for (const [id, group] of this.#groups) {
      if (this.#removed.has(id)) continue;
      const last = group.base + group.terms.length;
      const term = group.terms.at(-1);
      const found = recovered.get(id);
      if (term === undefined || (found !== undefined && found.compacted.index >= last)) continue;
      const entry = found?.entries[last - found.compacted.index - 1];
      if (entry?.term !== term)
        return `entry ${last} of group ${id}, of term ${term}, was durable; now there is ${entry === undefined ? 'none' : `one of term ${entry.term}`}`;
    }
    return null;
  }

  /** From here on, what was found is what is durable: a sync that no one was told of may have succeeded, too. */
  opened(recovered: ReadonlyMap<GroupId, RecoveredGroup>): void {
    this.#groups = new Map(
      [...recovered].map(([id, { compacted, entries }]) => [
        id,
        { base: compacted.index, terms: entries.map((entry) => entry.term) },
      ]),
    );
  }

  holds(id: GroupId, index: number, term: number): boolean {
    const group = this.#groups.get(id);
    return group !== undefined && (index <= group.base || group.terms[index - group.base - 1] === term);
  }
}
