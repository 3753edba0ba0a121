/** Where a group's live entries lie: runs in order of index, without overlap. */

export interface Extent {
  readonly segment: number;
  /** Of the record's header, in the segment's file. */
  readonly offset: number;
  /** Of the whole record, which may hold more entries than are still live. */
  readonly bytes: number;
  first: number;
  last: number;
  /** The record's body, during recovery only. */
  body: Buffer | null;
}

/** Forgets all entries up to `through`. `dead` is called for each extent that is gone. */
export function dropThrough(extents: Extent[], through: number, dead: (extent: Extent) => void): void {
  let gone = 0;
  while (gone < extents.length && extents[gone]!.last <= through) dead(extents[gone++]!);
  if (gone > 0) extents.splice(0, gone);
  const front = extents[0];
  if (front !== undefined && front.first <= through) front.first = through + 1;
}

/** Forgets all entries after `last`. */
export function truncateAfter(extents: Extent[], last: number, dead: (extent: Extent) => void): void {
  while (extents.length > 0 && extents[extents.length - 1]!.first > last) dead(extents.pop()!);
  const back = extents[extents.length - 1];
  if (back !== undefined && back.last > last) back.last = last;
}

/** Position of the first extent that ends at or after `index`. */
export function findExtent(extents: readonly Extent[], index: number): number {
  let low = 0;
  let high = extents.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (extents[middle]!.last < index) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Puts a copy of entries in the place of the originals, which may be whole extents, parts of them, or already gone. */
export function placeExtent(extents: Extent[], placed: Extent, dead: (extent: Extent) => void): void {
  const at = findExtent(extents, placed.first);
  const before = extents[at];
  let from = at;
  if (before !== undefined && before.first < placed.first && before.last <= placed.last) {
    before.last = placed.first - 1;
    from++;
  }
  let to = from;
  // Only where records were lost can a copy lie inside what is known: the original then counts as missing.
  if (before !== undefined && before.first < placed.first && before.last > placed.last) dead(extents[to++]!);
  while (to < extents.length && extents[to]!.last <= placed.last) dead(extents[to++]!);
  const after = extents[to];
  if (after !== undefined && after.first <= placed.last) after.first = placed.last + 1;
  extents.splice(from, to - from, placed);
}
