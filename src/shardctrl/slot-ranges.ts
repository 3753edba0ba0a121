/**
 * Sets of slots as sorted, disjoint, non-adjacent inclusive ranges: the form in logs, messages and the API
 * (`"0-99,200"`). All functions but `normalizeSlots` and `isNormalized` want that form and give it back; none changes
 * its arguments.
 */
export const SLOT_COUNT = 16_384;

export type SlotRange = readonly [first: number, last: number];
export type SlotRanges = readonly SlotRange[];

export const NO_SLOTS: SlotRanges = Object.freeze([]);
export const ALL_SLOTS: SlotRanges = Object.freeze([Object.freeze([0, SLOT_COUNT - 1] as const)]);

export type ParsedSlots =
  | { readonly ok: true; readonly slots: SlotRanges }
  /** What is wrong, in words for whoever typed it. */
  | { readonly ok: false; readonly detail: string };

/** Reads `"0-99,200"`: numbers and ranges in any order, separated by commas; the empty string is the empty set. */
export function parseSlots(text: string): ParsedSlots {
  if (text.trim() === '') return { ok: true, slots: NO_SLOTS };
  const ranges: SlotRange[] = [];
  for (const part of text.split(',')) {
    const match = /^\s*(\d{1,5})(?:-(\d{1,5}))?\s*$/.exec(part);
    if (match === null)
      return { ok: false, detail: `"${part.trim()}" is neither a slot nor a range of slots like 0-99` };
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (last >= SLOT_COUNT || first >= SLOT_COUNT) {
      return { ok: false, detail: `"${part.trim()}" is beyond the last slot, ${SLOT_COUNT - 1}` };
    }
    if (last < first) return { ok: false, detail: `"${part.trim()}" ends before it begins` };
    ranges.push([first, last]);
  }
  return { ok: true, slots: normalizeSlots(ranges) };
}

/** `"0-99,200"`; the empty set is the empty string. */
export const formatSlots = (slots: SlotRanges): string =>
  slots.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');

/** Sorts, joins overlapping and adjacent ranges. Slots must be whole numbers within 0 to 16,383. */
export function normalizeSlots(ranges: readonly SlotRange[]): SlotRanges {
  if (ranges.length === 0) return NO_SLOTS;
  const sorted = [...ranges].sort((a, b) => a[0] - b[0]);
  const joined: [number, number][] = [];
  for (const [first, last] of sorted) {
    const top = joined[joined.length - 1];
    if (top !== undefined && first <= top[1] + 1) top[1] = Math.max(top[1], last);
    else joined.push([first, last]);
  }
  return joined;
}

/** True for sorted, disjoint, non-adjacent ranges of whole numbers within 0 to 16,383: what peers must send. */
export function isNormalized(ranges: readonly (readonly number[])[]): ranges is SlotRanges {
  let before = -2;
  for (const range of ranges) {
    const [first, last] = range;
    if (range.length !== 2 || !Number.isInteger(first) || !Number.isInteger(last)) return false;
    if (first! <= before + 1 || last! < first! || first! < 0 || last! >= SLOT_COUNT) return false;
    before = last!;
  }
  return true;
}

/** From single slots in any order; repeats count once. */
export const slotsOf = (slots: Iterable<number>): SlotRanges =>
  normalizeSlots(Array.from(slots, (slot): SlotRange => [slot, slot]));

export function countSlots(slots: SlotRanges): number {
  let count = 0;
  for (const [first, last] of slots) count += last - first + 1;
  return count;
}

export function containsSlot(slots: SlotRanges, slot: number): boolean {
  let low = 0;
  let high = slots.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const [first, last] = slots[middle]!;
    if (slot < first) high = middle - 1;
    else if (slot > last) low = middle + 1;
    else return true;
  }
  return false;
}

export const unionSlots = (a: SlotRanges, b: SlotRanges): SlotRanges => normalizeSlots([...a, ...b]);

export function intersectSlots(a: SlotRanges, b: SlotRanges): SlotRanges {
  const common: SlotRange[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const first = Math.max(a[i]![0], b[j]![0]);
    const last = Math.min(a[i]![1], b[j]![1]);
    if (first <= last) common.push([first, last]);
    if (a[i]![1] < b[j]![1]) i++;
    else j++;
  }
  return common;
}

/** What is in `a` and not in `b`. */
export function subtractSlots(a: SlotRanges, b: SlotRanges): SlotRanges {
  const rest: SlotRange[] = [];
  let j = 0;
  for (const [first, last] of a) {
    let from = first;
    while (j < b.length && b[j]![1] < from) j++;
    for (let k = j; k < b.length && b[k]![0] <= last; k++) {
      if (b[k]![0] > from) rest.push([from, b[k]![0] - 1]);
      from = b[k]![1] + 1;
    }
    if (from <= last) rest.push([from, last]);
  }
  return rest;
}

/** True if every slot of `inner` is in `outer`. */
export const includesSlots = (outer: SlotRanges, inner: SlotRanges): boolean =>
  subtractSlots(inner, outer).length === 0;

export function equalSlots(a: SlotRanges, b: SlotRanges): boolean {
  return a.length === b.length && a.every(([first, last], i) => first === b[i]![0] && last === b[i]![1]);
}

/** Every slot, ascending. */
export function* eachSlot(slots: SlotRanges): Generator<number, void, void> {
  for (const [first, last] of slots) for (let slot = first; slot <= last; slot++) yield slot;
}

/** The lowest `count` slots (all, if there are fewer). */
export function firstSlots(slots: SlotRanges, count: number): SlotRanges {
  const taken: SlotRange[] = [];
  let left = count;
  for (const [first, last] of slots) {
    if (left <= 0) break;
    taken.push([first, Math.min(last, first + left - 1)]);
    left -= last - first + 1;
  }
  return taken;
}
