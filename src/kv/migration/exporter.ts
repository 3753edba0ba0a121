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
  /** How many pages may be on their way now; the first goes alone, since it may be refused. */
  readonly atOnce: () => number;
  /** null: nothing is to be installed. */
  readonly install: Installer | null;
}

export interface Installer {
  /** It would take too long by now: pages go on as if nothing was to be installed. */
  readonly late: () => boolean;
  /**
   * Sends the last page (null: there is none) and Install behind it, once all others are confirmed; resolves with the
   * answer to Install, or to a page that was not taken.
   */
  readonly send: (page: Buffer | null) => Promise<SlotAnswer>;
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
  | { readonly kind: 'refused'; readonly answer: SlotAnswer }
  | { readonly kind: 'answered'; readonly answer: SlotAnswer };

/** The first page of a copy of all records goes even if it is empty: it opens the import. Other empty pages do not. */
export async function copySlots(job: CopyJob): Promise<Copied> {
  const { machine, slots, since } = job;
  // Before anything is read: what changes from here on is noted under a higher number. After a copy of all records every note
  // since BeginExport has to follow: an earlier attempt may have brought a key that went before this one began.
  const upTo = since === null ? 0 : machine.newestNote;
  if (since === null) await job.settled();
  const pages = new PagesUnderWay(job.send);
  let records = 0;
  let bytes = 0;
  let cursor: ExportCursor | null = null;
  do {
    const page: ExportPage = await machine.exportRecords(slots, since, cursor, PAGE_BYTES);
    const goes = page.records.length > 0 || (since === null && cursor === null);
    const command = goes ? encodeCommand({ kind: 'page', move: job.move, slots, records: page.records }, 0) : null;
    if (page.next === null && job.install !== null && !job.install.late()) {
      await pages.atMost(0);
      if (pages.refusal === null) return { kind: 'answered', answer: await job.install.send(command) };
    } else if (command !== null) {
      await pages.send(command, bytes === 0 ? 1 : job.atOnce());
      records += page.records.length;
      bytes += command.length;
    }
    cursor = page.next;
  } while (cursor !== null && pages.refusal === null);
  await pages.atMost(0);
  if (pages.refusal !== null) return { kind: 'refused', answer: pages.refusal };
  return { kind: 'copied', records, bytes, upTo, left: machine.notedAfter(slots, upTo) };
}

/** Pages on their way to the destination, in any order: each holds other records. */
class PagesUnderWay {
  readonly #send: CopyJob['send'];
  readonly #flying = new Set<Promise<void>>();
  #failure: unknown = null;
  refusal: SlotAnswer | null = null;

  constructor(send: CopyJob['send']) {
    this.#send = send;
  }

  /** Resolves when there is room for the next one, `atOnce` being on their way at most. Rejects as `send` does. */
  async send(page: Buffer, atOnce: number): Promise<void> {
    const flight = this.#send(page)
      .then(
        (answer) => {
          if (answer.kind !== 'ok') this.refusal ??= answer;
        },
        (error: unknown) => {
          this.#failure ??= error;
        },
      )
      .then(() => {
        this.#flying.delete(flight);
      });
    this.#flying.add(flight);
    await this.atMost(atOnce - 1);
  }

  /** Resolves when no more than so many are on their way; after a failure when none is, for nobody must be left behind. */
  async atMost(count: number): Promise<void> {
    while (this.#flying.size > (this.#failure === null ? count : 0)) await Promise.race(this.#flying);
    if (this.#failure !== null) throw this.#failure;
  }
}
