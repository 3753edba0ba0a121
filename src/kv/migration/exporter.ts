/**
 * The source's half of a copy: reads the slots page by page out of its state and hands each page to the destination,
 * which confirms it once it is committed there. Repeating a page, or all of them, changes nothing: at the destination a
 * record wins only by a higher revision, and a removal is remembered.
 */
import type { MoveId, SlotAnswer, SlotRanges } from '../../shardctrl/index.js';
import { type ExportCursor, type ExportPage, encodeCommand, type KvStateMachine } from '../store/index.js';

/** Small: a page is applied in one go, at every replica of the destination, and what else they serve waits for it. */
const PAGE_BYTES = 32 * 1024;

export interface CopyJob {
  readonly move: MoveId;
  readonly slots: SlotRanges;
  readonly machine: KvStateMachine;
  /** null: all records. Else what has changed since the note of this number. */
  readonly since: number | null;
  /** Resolves when everything applied so far can be read through the engine. */
  readonly settled: () => Promise<void>;
  /** Sends one page command until the destination answers it; rejects with `ShardUnavailable` when it must give up. */
  readonly send: (page: Buffer) => Promise<SlotAnswer>;
}

export type Copied =
  | {
      readonly kind: 'copied';
      readonly records: number;
      readonly bytes: number;
      /** What changed after this note may not have been sent: where the next copy goes on. */
      readonly upTo: number;
      /** How many keys and idempotency records that is now. */
      readonly left: number;
    }
  | { readonly kind: 'refused'; readonly answer: SlotAnswer };

/** The first page of a copy of all records goes even if it is empty: it opens the import. Other empty pages do not. */
export async function copySlots(job: CopyJob): Promise<Copied> {
  const { machine, slots, since } = job;
  // Before anything is read: what changes from here on is noted under a higher number. After a copy of all records every note
  // since BeginExport has to follow: an earlier attempt may have brought a key that went before this one began.
  const upTo = since === null ? 0 : machine.newestNote;
  if (since === null) await job.settled();
  let records = 0;
  let bytes = 0;
  let cursor: ExportCursor | null = null;
  do {
    const page: ExportPage = await machine.exportRecords(slots, since, cursor, PAGE_BYTES);
    if (page.records.length > 0 || (since === null && cursor === null)) {
      const command = encodeCommand({ kind: 'page', move: job.move, slots, records: page.records }, 0);
      const answer = await job.send(command);
      if (answer.kind !== 'ok') return { kind: 'refused', answer };
      records += page.records.length;
      bytes += command.length;
    }
    cursor = page.next;
  } while (cursor !== null);
  return { kind: 'copied', records, bytes, upTo, left: machine.notedAfter(slots, upTo) };
}
