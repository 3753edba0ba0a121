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

/** What the product cannot do yet, so that nobody looks for it here. */
export const NOT_YET: Readonly<Record<string, string>> = {
  members: 'members of shards and nodes of the cluster cannot change yet (issue 4)',
};

const familyOf = (name: string): string => name.split(':')[0]!;

export const FAMILIES: readonly string[] = [...new Set(NEMESES.map(({ name }) => familyOf(name))), RESHARD];

/** A family means all its variants. null: there is none of that name. */
export function nemesesNamed(name: string): readonly Nemesis[] | null {
  const found = NEMESES.filter((each) => each.name === name || familyOf(each.name) === name);
  return found.length === 0 ? null : found;
}
