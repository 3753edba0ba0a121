/**
 * Sets of slots as sorted, disjoint, non-adjacent inclusive ranges: the form in logs, messages and the API
 * (`"0-99,200"`).
 */
export const SLOT_COUNT = 16_384;

export type SlotRange = readonly [first: number, last: number];
export type SlotRanges = readonly SlotRange[];
