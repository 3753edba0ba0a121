/**
 * The faults that a seed may have. Swarm testing (Groce et al., ISSTA 2012): each seed has its own subset of faults and its
 * own intensity, since a run with everything at once hides what only a few together can do.
 */
import { Method } from '../../src/kv/server/rpc.js';
import type { NetworkFaults } from './fakes/network.js';
import type { SimRandom } from './fakes/random.js';
import { requestedMethod } from './rpc-frames.js';
import { tornPage } from './torn-pages.js';

export const FAULTS = [
  'kill',
  'power_cut',
  'all_down',
  'bounce',
  'coup',
  'pause',
  'partition',
  'one_way',
  'bridge',
  'loss',
  'duplicate',
  'reorder',
  'late_rpc',
  'reset',
  'slow_network',
  'slow_disk',
  'disk_stall',
  'late_sync',
  'snapshot_race',
  'disk_full',
  'sync_failure',
  'rot',
  'wipe',
  'client_loss',
  'wall_jump',
  'clock_rate',
  'reshard',
  'steer',
  'shuttle',
  'transfer',
  'haste',
  'oust',
  'hang_up',
  'torn_page',
  'members',
  'old_copy',
  'mid_step',
  'read_flood',
  'late_install',
  'plan_options',
  'auto_balance',
  'members_harm',
  'late_step',
  'stillborn',
  'doubt',
  'muffle',
  'heir',
] as const;
export type Fault = (typeof FAULTS)[number];

/** Those that strike now and then; the others are on all along, or have a pace of their own. */
export const STRIKES: readonly Fault[] = [
  'kill',
  'power_cut',
  'all_down',
  'bounce',
  'pause',
  'partition',
  'one_way',
  'bridge',
  'wall_jump',
  'reshard',
  'disk_stall',
  'disk_full',
  'sync_failure',
  'rot',
  'wipe',
];

/** Those that strike amid a move: see ambush.ts. */
const AMBUSHES: readonly Fault[] = ['haste', 'oust', 'hang_up'];

/** What deposes leaders, or ends partitions that are not its own. */
const ENDS_A_RACE: readonly Fault[] = [
  'kill',
  'power_cut',
  'all_down',
  'bounce',
  'pause',
  'partition',
  'one_way',
  'bridge',
  'disk_stall',
  'late_sync',
  'transfer',
];

const SPOILS_A_COUP: readonly Fault[] = ['snapshot_race', 'late_sync'];

/**
 * Drawn from a stream of their own, with probabilities of their own: where none of them is in, a seed is what it was before
 * they came, and what mutants and past failures are known by stays where it was.
 */
const LATER: ReadonlyMap<Fault, number> = new Map([
  ['old_copy', 0.15],
  ['mid_step', 0.25],
  ['read_flood', 0.1],
  ['members', 0.3],
  ['late_install', 0.12],
  ['plan_options', 0.25],
  ['auto_balance', 0.15],
  ['members_harm', 0.4],
  ['late_step', 0.2],
  ['stillborn', 0.15],
  ['doubt', 0.15],
  ['muffle', 0.15],
  ['heir', 0.12],
]);

/** What a disk may do for good. */
const HARMS = ['rot', 'wipe', 'old_copy'] as const;

/** Slots on the move all the time, and what needs that; and leaders that never stay for long. */
const RESTLESS: readonly Fault[] = [
  'shuttle',
  ...AMBUSHES,
  'torn_page',
  'late_rpc',
  'late_install',
  'late_step',
  'heir',
  'transfer',
  'coup',
  'all_down',
];

/** The faults of a seed: each is in with its own probability; something always is. */
export function drawFaults(random: SimRandom): Set<Fault> {
  const density = random.between(0.15, 0.5);
  const faults = new Set(FAULTS.filter((fault) => !LATER.has(fault) && random.chance(density)));
  // Where pages are torn, digests that differ are no news: most seeds are to take them for what they are elsewhere, a bug.
  if (random.chance(0.5)) faults.delete('torn_page');
  const ambushed = AMBUSHES.some((fault) => faults.has(fault));
  // What has just been copied, or is no longer wanted, does most harm when it comes again.
  if (ambushed && random.chance(0.4)) faults.add('late_rpc');
  if (ambushed || faults.has('torn_page')) for (const needed of ['shuttle', 'transfer'] as const) faults.add(needed);
  // Most of what can go wrong in this store needs slots on the move; and there is no old command of a move without one.
  if (faults.has('late_rpc') || random.chance(0.6)) faults.add('shuttle');
  // Left alone, one node may come to lead everything, and nothing of a move crosses the network.
  if (faults.has('late_rpc') || random.chance(0.3)) faults.add('transfer');
  if (random.chance(0.25)) faults.add('coup');
  // Figure 8 needs logs that are not compacted at once, and partitions that nobody else heals.
  if (faults.has('coup')) for (const other of SPOILS_A_COUP) faults.delete(other);
  // It takes seconds of one leader, and a network that nothing else heals meanwhile.
  if (faults.has('snapshot_race') && random.chance(0.5)) for (const fault of ENDS_A_RACE) faults.delete(fault);
  // After these a node is gone for good, and much of the rest can't happen any more.
  for (const final of ['rot', 'wipe'] as const) if (random.chance(0.6)) faults.delete(final);
  const later = random.fork('later');
  for (const [fault, probability] of LATER) if (later.chance(probability)) faults.add(fault);
  // A shard whose members change may be down to what it needs: another loss for good would be one too many, unless members
  // change with that in mind. Then it is one harm, since a node that has had one is spared the others.
  if (!faults.has('members')) faults.delete('members_harm');
  else for (const final of HARMS) faults.delete(final);
  if (faults.has('members_harm')) faults.add(later.fork('harm').pick(HARMS));
  // Nothing is balanced by itself as long as a plan runs, nor before a leader has watched the load for a while.
  if (faults.has('auto_balance') && later.fork('rest').chance(0.6)) for (const fault of RESTLESS) faults.delete(fault);
  // Nothing is installed where nothing moves, nor on its way where one node leads everything.
  // Only rounds that were given up leave steps behind that are late for the next, and marks for the next leader.
  if (faults.has('late_step') || faults.has('heir')) faults.add('late_install');
  if (faults.has('late_install')) for (const needed of ['shuttle', 'transfer'] as const) faults.add(needed);
  if (faults.size === 0) faults.add('kill');
  return faults;
}

/** What the driver of a plan sends again by itself when no answer comes: the network may repeat it as well, and late. */
const REPEATED: ReadonlySet<number> = new Set([Method.SlotCommand, Method.Page, Method.Copy, Method.Members]);
const RECALLED: ReadonlySet<number> = new Set([Method.SlotCommand, Method.Page, Method.Members]);

const isOneOf = (methods: ReadonlySet<number>, method: number | null): boolean =>
  method !== null && methods.has(method);

export function networkFaults(faults: ReadonlySet<Fault>, r: SimRandom): Partial<NetworkFaults> {
  return {
    delayMin_ms: 0.1,
    delayMax_ms: faults.has('slow_network') ? r.between(5, 60) : r.between(0.3, 3),
    loss: faults.has('loss') ? r.between(0.001, 0.08) : 0,
    duplicate: faults.has('duplicate') ? r.between(0.01, 0.2) : 0,
    reorder: faults.has('reorder') ? r.between(0.005, 0.1) : 0,
    reset: faults.has('reset') ? r.between(0.0005, 0.01) : 0,
    held: faults.has('late_rpc') ? r.between(0, 0.2) : 0,
    late: faults.has('late_rpc') ? r.between(0.3, 0.9) : 0,
    late_ms: r.pick([4_000, 20_000, 60_000]),
    torn: faults.has('torn_page') ? r.between(0.05, 0.3) : 0,
    tear: tornPage,
    repeatable: (frame) => isOneOf(REPEATED, requestedMethod(frame)),
    // Close behind a command an old one does most harm; and close behind a page an older page of the same slots.
    recalled: (frame) => {
      const method = requestedMethod(frame);
      return isOneOf(RECALLED, method) ? method : null;
    },
  };
}
