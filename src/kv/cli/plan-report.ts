/** A plan in tables: what it would do before it starts, and what it proves when it has ended (the receipts). */
import type { PlanMoveView, PlanView, ReceiptView } from '../client/index.js';
import { type Colors, type Column, renderTable } from './output.js';
import { byteText, countText, durationText, shorten } from './text.js';

const SLOTS_WIDTH = 48;

const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`;

const PLAN_COLUMNS: readonly Column[] = [
  { title: 'MOVE' },
  { title: 'FROM' },
  { title: 'TO' },
  { title: 'COUNT', right: true },
  { title: 'SLOTS' },
];

export function planSummary(plan: PlanView): string {
  const slots = plan.moves.reduce((sum, move) => sum + move.slot_count, 0);
  return plan.moves.length === 0 ? 'nothing to move' : `${plural(plan.moves.length, 'move')}, ${plural(slots, 'slot')}`;
}

/** What is going to move where, and what will be there afterwards. */
export async function renderPlan(colors: Colors, plan: PlanView): Promise<string> {
  const lines = [colors.bold(planSummary(plan))];
  if (plan.moves.length > 0) {
    const rows = plan.moves.map((move) => [
      move.id,
      move.from,
      move.to,
      String(move.slot_count),
      shorten(move.slots, SLOTS_WIDTH),
    ]);
    lines.push(await renderTable(colors, PLAN_COLUMNS, rows));
  }
  for (const shard of plan.new_shards ?? []) lines.push(`new shard ${shard.id} on ${shard.members.join(', ')}`);
  const retired = plan.retired_shards ?? [];
  if (retired.length > 0) lines.push(`retired afterwards: ${retired.join(', ')}`);
  const shares = Object.entries(plan.shares ?? {});
  if (shares.length > 0) lines.push(`slots afterwards: ${shares.map(([id, count]) => `${id} ${count}`).join(', ')}`);
  return lines.join('\n');
}

const RECEIPT_COLUMNS: readonly Column[] = [
  { title: 'MOVE' },
  { title: 'FROM' },
  { title: 'TO' },
  { title: 'COUNT', right: true },
  { title: 'PHASE' },
  { title: 'KEYS', right: true },
  { title: 'BYTES', right: true },
  { title: 'RATE', right: true },
  { title: 'ETA', right: true },
  { title: 'PAUSE', right: true },
  { title: 'CHECKSUM' },
];

export const rateText = (move: PlanMoveView): string => (move.rate === null ? '-' : `${Math.round(move.rate)} keys/s`);

/** Every move as it stands; of finished ones this is the receipt. */
export function renderMoves(colors: Colors, plan: PlanView): Promise<string> {
  const rows = plan.moves.map((move) => [
    move.id,
    move.from,
    move.to,
    String(move.slot_count),
    move.phase === 'done' ? colors.green(move.phase) : move.phase,
    countText(move.keys),
    byteText(move.bytes),
    rateText(move),
    durationText(move.eta_ms),
    durationText(move.pause_ms),
    move.checksum ?? '-',
  ]);
  return renderTable(colors, RECEIPT_COLUMNS, rows);
}

const STATE_COLOR: Readonly<Record<PlanView['state'], 'green' | 'yellow' | 'red'>> = {
  planned: 'yellow',
  running: 'yellow',
  paused: 'yellow',
  done: 'green',
  failed: 'red',
  cancelled: 'red',
};

/** `plan 5 done`, with the reason where there is one. */
export function planHeadline(colors: Colors, plan: PlanView): string {
  const reason = plan.reason === undefined ? '' : `: ${plan.reason}`;
  return `plan ${plan.id} ${colors[STATE_COLOR[plan.state]](plan.state)}${reason}`;
}

export async function renderStatus(colors: Colors, plan: PlanView): Promise<string> {
  const head = `${planHeadline(colors, plan)}  (${planSummary(plan)}, created ${plan.created})`;
  return plan.moves.length === 0 ? head : `${head}\n${await renderMoves(colors, plan)}`;
}

const BATCH_COLUMNS: readonly Column[] = [
  { title: 'NO' },
  { title: 'MOVE' },
  { title: 'FROM' },
  { title: 'TO' },
  { title: 'SLOTS' },
  { title: 'KEYS', right: true },
  { title: 'BYTES', right: true },
  { title: 'PAUSE', right: true },
  { title: 'EPOCH', right: true },
  { title: 'CHECKSUM' },
];

const BATCH_SLOTS_WIDTH = 20;

/** What each batch has proved, and above it the pauses of all. */
export async function renderReceipts(colors: Colors, id: string, receipts: readonly ReceiptView[]): Promise<string> {
  if (receipts.length === 0) return `plan ${id} has no receipts yet`;
  const rows = receipts.map((receipt) => [
    String(receipt.number),
    receipt.move,
    receipt.from,
    receipt.to,
    shorten(receipt.slots, BATCH_SLOTS_WIDTH),
    countText(receipt.keys),
    byteText(receipt.bytes),
    durationText(receipt.pause_ms),
    String(receipt.epoch),
    receipt.source_checksum === receipt.destination_checksum ? receipt.source_checksum : colors.red('differs'),
  ]);
  const pauses = receipts.flatMap(({ pause_ms }) => pause_ms ?? []).sort((a, b) => a - b);
  const at = (share: number): string => durationText(pauses[Math.ceil(pauses.length * share) - 1] ?? null);
  const head = `plan ${id}: ${receipts.length} ${receipts.length === 1 ? 'batch' : 'batches'}, pauses: median ${at(0.5)}, p99 ${at(0.99)}, longest ${at(1)}`;
  return `${colors.bold(head)}\n${await renderTable(colors, BATCH_COLUMNS, rows)}`;
}

export const isOver = (plan: PlanView): boolean =>
  plan.state === 'done' || plan.state === 'failed' || plan.state === 'cancelled';
