/**
 * The source's half of a copy: reads the slots page by page out of its state and hands each page to the destination,
 * which confirms it once it is committed there. Repeating a page, or all of them, changes nothing: at the destination a
 * record wins only by a higher revision.
 */
import type { MoveId, SlotAnswer, SlotRanges } from '../../shardctrl/index.js';
import { type ExportCursor, type ExportPage, encodeCommand, type KvStateMachine } from '../store/index.js';

const PAGE_BYTES = 256 * 1024;

export interface CopyJob {
  readonly move: MoveId;
  readonly slots: SlotRanges;
  readonly machine: KvStateMachine;
  /** Resolves when everything applied so far can be read through the engine. */
  readonly settled: () => Promise<void>;
  /** Sends one page command until the destination answers it; rejects with `ShardUnavailable` when it must give up. */
  readonly send: (page: Buffer) => Promise<SlotAnswer>;
}

export type Copied =
  | { readonly kind: 'copied'; readonly records: number; readonly bytes: number }
  | { readonly kind: 'refused'; readonly answer: SlotAnswer };

/** Also an empty set of slots sends one page: it opens the import. */
export async function copySlots(job: CopyJob): Promise<Copied> {
  await job.settled();
  let records = 0;
  let bytes = 0;
  let cursor: ExportCursor | null = null;
  do {
    const page: ExportPage = await job.machine.exportRecords(job.slots, cursor, PAGE_BYTES);
    const command = encodeCommand({ kind: 'page', move: job.move, slots: job.slots, records: page.records }, 0);
    const answer = await job.send(command);
    if (answer.kind !== 'ok') return { kind: 'refused', answer };
    records += page.records.length;
    bytes += command.length;
    cursor = page.next;
  } while (cursor !== null);
  return { kind: 'copied', records, bytes };
}
