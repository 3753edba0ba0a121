/** Two shards and what goes between them in a move. */

import type { ExportCursor, KvResult, PageRecord } from '../../../../src/kv/store/index.js';
import type { FreezeReceipt, MoveId, SlotAnswer, SlotRanges } from '../../../../src/shardctrl/index.js';
import { containsSlot, slotOfKey } from '../../../../src/shardctrl/index.js';
import type { Machine } from './machine.js';

/** `count` different keys of these slots. */
export function keysIn(slots: SlotRanges, count: number, prefix = 'k'): string[] {
  const keys: string[] = [];
  for (let i = 0; keys.length < count; i++) {
    const key = `${prefix}${i}`;
    if (containsSlot(slots, slotOfKey(Buffer.from(key)))) keys.push(key);
  }
  return keys;
}

/** All records, then all that was noted. */
export async function exportAll(source: Machine, slots: SlotRanges, maxBytes = 300): Promise<PageRecord[][]> {
  return [...(await exportSince(source, slots, null, maxBytes)), ...(await exportSince(source, slots, 0, maxBytes))];
}

export async function exportSince(
  source: Machine,
  slots: SlotRanges,
  since: number | null,
  maxBytes = 300,
): Promise<PageRecord[][]> {
  const pages: PageRecord[][] = [];
  let cursor: ExportCursor | null = null;
  do {
    const page: { records: PageRecord[]; next: ExportCursor | null } = await source.machine.exportRecords(
      slots,
      since,
      cursor,
      maxBytes,
    );
    pages.push(page.records);
    cursor = page.next;
  } while (cursor !== null);
  return pages;
}

export async function importPages(
  destination: Machine,
  move: MoveId,
  slots: SlotRanges,
  pages: readonly (readonly PageRecord[])[],
): Promise<void> {
  for (const records of pages) expectOk(await destination.run({ kind: 'page', move, slots, records }));
}

function expectOk(result: KvResult): void {
  if (result.kind !== 'ok') throw new Error(`a page was answered with ${JSON.stringify(result)}`);
}

export async function freeze(source: Machine, move: MoveId, slots: SlotRanges, round = 1): Promise<FreezeReceipt> {
  const answer = await source.run({ kind: 'freeze', move, round, slots });
  if (answer.kind !== 'frozen') throw new Error(`Freeze was answered with ${JSON.stringify(answer)}`);
  return answer.receipt;
}

export function install(
  destination: Machine,
  move: MoveId,
  slots: SlotRanges,
  receipt: Pick<FreezeReceipt, 'digest' | 'revision' | 'clock_ms'>,
  round = 1,
): Promise<KvResult> {
  const { digest, revision, clock_ms } = receipt;
  return destination.run({ kind: 'install', move, round, slots, digest, revision, clock_ms });
}

export async function purge(shard: Machine, move: MoveId, slots: SlotRanges, limit = 3): Promise<void> {
  const pass = shard.machine.purgePass(move, slots);
  for (let found = await pass.next(limit); found !== null; found = await pass.next(limit)) await shard.run(found);
}

/** A whole move, with all its steps; answers the answer to Install. */
export async function moveSlots(from: Machine, to: Machine, move: MoveId, slots: SlotRanges): Promise<SlotAnswer> {
  await from.run({ kind: 'begin_export', move, slots });
  const receipt = await freeze(from, move, slots);
  await importPages(to, move, slots, await exportAll(from, slots));
  const answer = await install(to, move, slots, receipt);
  if (answer.kind !== 'installed') throw new Error(`Install was answered with ${JSON.stringify(answer)}`);
  await from.run({ kind: 'delete', move, slots });
  await purge(from, move, slots);
  return answer;
}
