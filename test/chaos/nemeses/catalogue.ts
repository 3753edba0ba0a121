/** All nemeses by name, and what is meant by the names that a user gives. */
import { CLOCK } from './clock.js';
import { CORRUPTIONS } from './corrupt.js';
import { DISK_FULL } from './disk-full.js';
import { KILLS } from './kill.js';
import type { Nemesis } from './nemesis.js';
import { PARTITIONS } from './partition.js';
import { STOPS } from './stop.js';
import { WEATHERS } from './weather.js';
import { WIPES } from './wipe.js';

export const NEMESES: readonly Nemesis[] = [
  ...KILLS,
  ...STOPS,
  ...PARTITIONS,
  ...WEATHERS,
  DISK_FULL,
  ...CORRUPTIONS,
  ...WIPES,
  CLOCK,
];

/** Runs beside all others, in a lane of its own (`reshard-lane.ts`), and needs no processes. */
export const RESHARD = 'reshard';
export const RESHARD_DESCRIBE = 'shards grow, shrink and give slots away, beside all other faults';

/** Beside all others, too, in `members-lane.ts`. */
export const MEMBERS = 'members';
export const MEMBERS_DESCRIBE =
  'nodes join and are drained, members and leaders of shards change, beside all other faults';

const familyOf = (name: string): string => name.split(':')[0]!;

export const FAMILIES: readonly string[] = [...new Set(NEMESES.map(({ name }) => familyOf(name))), RESHARD, MEMBERS];

/** A family means all its variants. null: there is none of that name. */
export function nemesesNamed(name: string): readonly Nemesis[] | null {
  const found = NEMESES.filter((each) => each.name === name || familyOf(each.name) === name);
  return found.length === 0 ? null : found;
}
