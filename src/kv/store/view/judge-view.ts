/** Pure comparisons of what was read out of a view with what was kept in memory at its index. */
import { MoveOutcome, SLOT_COUNT, type SlotRanges, SlotState, slotsOf } from '../../../shardctrl/index.js';
import type { SlotArrays } from '../slot-sums.js';
import type { Findings } from './findings.js';
import type { KeptState } from './kept-state.js';
import type { RecordReading } from './record-reading.js';
import { sameCounts, sameDigest } from './slot-arrays.js';
import type { StoredState } from './stored-state.js';

const one = (slot: number): SlotRanges => [[slot, slot]];
const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

function countDetail(read: number, kept: number, what: string): string[] {
  if (read === kept) return [];
  const difference = counted(Math.abs(read - kept), what);
  return [`${difference} ${read < kept ? 'missing' : 'too many'} (${read} on disk, ${kept} by the sums)`];
}

/** How the records of a slot differ from what is kept of them, in words; null: they do not. */
export function sumsFault(read: SlotArrays, kept: SlotArrays, slot: number): string | null {
  if (sameCounts(read, kept, slot) && sameDigest(read, kept, slot)) return null;
  const details = [
    ...countDetail(read.keys[slot]!, kept.keys[slot]!, 'key'),
    ...countDetail(read.idempotency[slot]!, kept.idempotency[slot]!, 'idempotency record'),
  ];
  if (details.length > 0) return details.join(', ');
  const [bytes, due] = [read.bytes[slot]!, kept.bytes[slot]!];
  return bytes === due
    ? 'as many records as the sums say, but not the same'
    : `${bytes} bytes on disk, ${due} by the sums`;
}

/** Records against sums in memory. Where a record is rotten and only the digest differs, that has been said. */
export function judgeRecords(reading: RecordReading, kept: KeptState, findings: Findings): SlotRanges {
  const odd: number[] = [];
  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    const fault = sumsFault(reading.sums, kept.sums, slot);
    const told = reading.rotten.has(slot) && sameCounts(reading.sums, kept.sums, slot);
    if (fault !== null) odd.push(slot);
    if (fault !== null && !told) findings.add('records', one(slot), null, fault);
    const derived = reading.rotten.has(slot) ? null : reading.derived.fault(slot);
    if (derived === null) continue;
    if (fault === null) odd.push(slot);
    findings.add('index', one(slot), null, derived);
  }
  return slotsOf(odd);
}

/** What is stored besides records against what is in memory. */
export function judgeStored(stored: StoredState, kept: KeptState, findings: Findings): void {
  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    const fault = storedSumsFault(stored.slots, kept.sums, slot);
    if (fault !== null) findings.add('state', one(slot), null, fault);
    if (!stored.slots.control.agrees(kept.control, slot))
      findings.add('state', one(slot), null, 'where it stands in its moves is not stored as it is in memory');
  }
  if (stored.side !== kept.side)
    findings.addUnplaced('state', 'receipts or notes of moves are not stored as they are in memory');
  const { revision, clock_ms, everOwned } = kept.meta;
  const { meta } = stored;
  if (meta.revision !== revision || meta.clock_ms !== clock_ms || meta.everOwned !== everOwned)
    findings.addUnplaced(
      'state',
      `revision ${meta.revision} and clock ${meta.clock_ms} are stored, ${revision} and ${clock_ms} are in memory`,
    );
}

function storedSumsFault(stored: SlotArrays, kept: SlotArrays, slot: number): string | null {
  if (sameCounts(stored, kept, slot) && sameDigest(stored, kept, slot)) return null;
  const said = (sums: SlotArrays): string =>
    `${counted(sums.keys[slot]!, 'key')}, ${counted(sums.bytes[slot]!, 'byte')}`;
  const same = sameCounts(stored, kept, slot) ? ', with another digest' : '';
  return `the stored sums say ${said(stored)}, those in memory ${said(kept)}${same}`;
}

/** Of a slot that has left: what the state says is still there, in words; null: nothing. */
export function remainsFault(
  { slots, noted, tombstones }: StoredState,
  { sums }: KeptState,
  slot: number,
  aborted: boolean,
): string | null {
  const state = slots.control.state[slot];
  const [keys, idempotency] = aborted ? [0, 0] : [sums.keys[slot]!, sums.idempotency[slot]!];
  const parts = [
    ...(state === SlotState.None ? [] : [`it is in state ${STATES[state as SlotState]}`]),
    ...(keys === 0 ? [] : [`the sums count ${counted(keys, 'key')}`]),
    ...(idempotency === 0 ? [] : [`the sums count ${counted(idempotency, 'idempotency record')}`]),
    ...(noted.count(slot) + tombstones.count(slot) === 0 ? [] : ['there are notes of a move']),
  ];
  return parts.length === 0 ? null : parts.join(', ');
}

/** An import of the slot was aborted last, and nothing has come since. */
export const wasAborted = ({ control }: KeptState, slot: number): boolean =>
  control.state[slot] === SlotState.None && control.outcome[slot] === MoveOutcome.Aborted;

/**
 * What is on disk of a slot that has left is what an import has brought that began later and was aborted: it is being purged, and
 * nobody has forgotten it. A slot that was given away comes to NONE only when nothing counted is left of it, and an import opens
 * only then; so what the state counts there has come later.
 */
export function isAborted(kept: KeptState, slot: number, onDisk: number): boolean {
  return wasAborted(kept, slot) && onDisk <= kept.sums.keys[slot]! + kept.sums.idempotency[slot]!;
}

const STATES: Readonly<Record<SlotState, string>> = {
  [SlotState.None]: 'none',
  [SlotState.Own]: 'own',
  [SlotState.Exporting]: 'exporting',
  [SlotState.Frozen]: 'frozen',
  [SlotState.Purging]: 'purging',
  [SlotState.Importing]: 'importing',
};
