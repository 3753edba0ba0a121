/**
 * Which groups a log has, in ten bytes: every batch states it, so that a group whose every record is lost is missed, and
 * can be named if it is the only one.
 */
export interface GroupCensus {
  readonly count: number;
  /** XOR of the ids. */
  readonly xor: number;
  /** Sum of 16-bit hashes of the ids, modulo 2^16: tells one missing group from a mixture with the same XOR. */
  readonly check: number;
}

export const NO_GROUPS: GroupCensus = { count: 0, xor: 0, check: 0 };

export const withGroup = ({ count, xor, check }: GroupCensus, group: number): GroupCensus => ({
  count: count + 1,
  xor: (xor ^ group) >>> 0,
  check: (check + hash16(group)) & 0xffff,
});

export const withoutGroup = ({ count, xor, check }: GroupCensus, group: number): GroupCensus => ({
  count: count - 1,
  xor: (xor ^ group) >>> 0,
  check: (check - hash16(group)) & 0xffff,
});

export const sameCensus = (a: GroupCensus, b: GroupCensus): boolean =>
  a.count === b.count && a.xor === b.xor && a.check === b.check;

/** The one group that `whole` counts and `part` does not; null if that is not the whole difference. */
export function missingGroup(whole: GroupCensus, part: GroupCensus): number | null {
  const group = (whole.xor ^ part.xor) >>> 0;
  return sameCensus(withGroup(part, group), whole) ? group : null;
}

/** The finalizer of MurmurHash3: not linear, unlike the XOR beside it. */
function hash16(group: number): number {
  let h = group | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) & 0xffff;
}
