/** A plan in tables: what it would do before it starts, and what it proves when it has ended (the receipts). */
import type { PlanMoveView, PlanView, ReceiptView } from '../client/index.js';
import { type Colors, type Column, renderTable } from './output.js';
import { hasEndings, renderEndings } from './plan-endings.js';
import { newShardText, predictedText, renderBalance, wishText } from './plan-outlook-report.js';
import { byteText, countText, durationText, shorten } from './text.js';

const SLOTS_WIDTH = 48;

const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`;

const PLAN_COLUMNS: readonly Column[] = [
  { title: 'MOVE' },
  { title: 'FROM' },
  { title: 'TO' },
  { title: 'COUNT', right: true },
];
const HELD_COLUMNS: readonly Column[] = [
  { title: 'KEYS', right: true },
  { title: 'BYTES', right: true },
];
const SLOTS_COLUMN: Column = { title: 'SLOTS' };

export function planSummary(plan: PlanView): string {
  const slots = plan.moves.reduce((sum, move) => sum + move.slot_count, 0);
  return plan.moves.length === 0 ? 'nothing to move' : `${plural(plan.moves.length, 'move')}, ${plural(slots, 'slot')}`;
}

/** What is going to move where, and what will be there afterwards. */
export async function renderPlan(colors: Colors, plan: PlanView): Promise<string> {
  const wish = wishText(plan);
  const lines = [colors.bold(planSummary(plan) + (wish === '' ? '' : `; ${wish}`))];
  if (plan.moves.length > 0) lines.push(await renderPlanned(colors, plan));
  for (const shard of plan.new_shards ?? []) lines.push(newShardText(shard));
  const retired = plan.retired_shards ?? [];
  if (retired.length > 0) lines.push(`retired afterwards: ${retired.join(', ')}`);
  const shares = Object.entries(plan.shares ?? {});
  if (shares.length > 0) lines.push(`slots afterwards: ${shares.map(([id, count]) => `${id} ${count}`).join(', ')}`);
  if ((plan.balance ?? []).length > 0) lines.push(await renderBalance(colors, plan));
  const predicted = predictedText(plan);
  if (predicted !== '') lines.push(predicted);
  return lines.join('\n');
}

/** With keys and bytes where it is known what the slots hold. */
function renderPlanned(colors: Colors, plan: PlanView): Promise<string> {
  // Of a plan that runs they are what has moved so far.
  const held = plan.state === 'planned' && plan.moves.some((move) => move.keys !== null);
  const rows = plan.moves.map((move) => [
    move.id,
    move.from,
    move.to,
    String(move.slot_count),
    ...(held ? [countText(move.keys), byteText(move.bytes)] : []),
    shorten(move.slots, SLOTS_WIDTH),
  ]);
  return renderTable(colors, [...PLAN_COLUMNS, ...(held ? HELD_COLUMNS : []), SLOTS_COLUMN], rows);
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
  const lines = [`${planHeadline(colors, plan)}  (${planSummary(plan)}, created ${plan.created})`];
  if (plan.cause !== undefined) lines.push(plan.cause);
  if (plan.moves.length > 0) lines.push(await renderMoves(colors, plan));
  if (hasEndings(plan)) lines.push('', await renderEndings(colors, plan));
  return lines.join('\n');
}

/** What was asked to end, and what becomes of it move by move. */
export async function renderEnding(colors: Colors, plan: PlanView): Promise<string> {
  const head = planHeadline(colors, plan);
  return hasEndings(plan) ? `${head}\n${await renderEndings(colors, plan)}` : head;
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
