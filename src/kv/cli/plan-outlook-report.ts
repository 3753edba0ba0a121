/** What a plan would bring, for people: shares before and after, where new shards go, how long it takes. */
import type { PlanView } from '../client/index.js';
import { type Colors, type Column, renderTable } from './output.js';
import { byteText, countText, durationText } from './text.js';

type Balance = NonNullable<PlanView['balance']>[number];
type NewShard = NonNullable<PlanView['new_shards']>[number];

const COLUMNS: readonly Column[] = [
  { title: 'SHARD' },
  { title: 'WEIGHT', right: true },
  { title: 'SLOTS', right: true },
  { title: 'KEYS', right: true },
  { title: 'BYTES', right: true },
  { title: 'NOTE' },
];

const change = (before: string, after: string): string => (before === after ? after : `${before} → ${after}`);

export function renderBalance(colors: Colors, plan: PlanView): Promise<string> {
  const made = new Set((plan.new_shards ?? []).map(({ id }) => id));
  const retired = new Set(plan.retired_shards ?? []);
  const noteOf = ({ shard, excluded }: Balance): string =>
    excluded ? 'excluded' : made.has(shard) ? 'new' : retired.has(shard) ? 'retired' : '';
  const rows = (plan.balance ?? []).map((share) => [
    share.shard,
    String(share.weight),
    change(String(share.slots_before), String(share.slots_after)),
    change(countText(share.keys_before), countText(share.keys_after)),
    change(byteText(share.bytes_before), byteText(share.bytes_after)),
    noteOf(share),
  ]);
  return renderTable(colors, COLUMNS, rows);
}

/** `new shard s3 on n1 (zone a, host h1, leads), n2 (zone b, host h2)`. */
export function newShardText({ id, members, placement }: NewShard): string {
  const places = placement?.map(({ node, zone, host, leads }) => {
    const traits = [zone === null ? '' : `zone ${zone}`, host === null ? '' : `host ${host}`, leads ? 'leads' : ''];
    const text = traits.filter((trait) => trait !== '').join(', ');
    return text === '' ? node : `${node} (${text})`;
  });
  return `new shard ${id} on ${(places ?? members).join(', ')}`;
}

/** What is evened out and who takes no part; empty where nothing was said. */
export function wishText({ by = 'slots', excluded_shards = [], excluded_nodes = [] }: PlanView): string {
  const parts = [
    by === 'slots' ? '' : `shares of ${by}`,
    excluded_shards.length === 0 ? '' : `neither give nor take: ${excluded_shards.join(', ')}`,
    excluded_nodes.length === 0 ? '' : `get no replica of a new shard: ${excluded_nodes.join(', ')}`,
  ];
  return parts.filter((part) => part !== '').join('; ');
}

/** Empty where the plan says nothing of it. */
export function predictedText({ predicted }: PlanView): string {
  if (predicted === undefined) return '';
  const { time_ms, pause_ms, pause_ms_max, batches, from } = predicted;
  const pauses = `slots pause for ${durationText(pause_ms)} or so, ${durationText(pause_ms_max)} at most`;
  const what = batches === null ? '' : `${durationText(time_ms)} or so in ${batches} batches; ${pauses} (`;
  return `predicted: ${what}${from}${what === '' ? '' : ')'}`;
}
