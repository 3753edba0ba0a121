/**
 * The map as a picture, so that a person sees the balance: the slots by shard, then the share and the members of each shard,
 * then what each node carries.
 */
import type { ClusterView, MapView } from '../client/index.js';
import { type Colors, type Column, renderTable } from './output.js';
import { CELL_SLOTS, letterOf, slotBar, tinted } from './slot-bar.js';
import { countSlots, SLOT_COUNT, slotRanges } from './slot-text.js';
import { shorten } from './text.js';

/** Shard ids to the nodes that lead them; null: at that epoch nobody knows any more. */
export type Leaders = ReadonlyMap<string, string> | null;

export const leadersOf = (view: ClusterView): Leaders =>
  new Map(view.shards.flatMap(({ id, leader }) => (leader === null ? [] : [[id, leader] as const])));

const HELD_WIDTH = 80;

/** `4 to 6`, or `5` where all are equal. */
function spread(counts: readonly number[]): string {
  if (counts.length === 0) return '-';
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  return least === most ? String(least) : `${least} to ${most}`;
}

const SHARD_COLUMNS: readonly Column[] = [
  { title: ' ' },
  { title: 'SHARD' },
  { title: 'SLOTS', right: true },
  { title: 'SHARE', right: true },
  { title: 'MEMBERS' },
];

function renderShards(colors: Colors, { shards }: MapView, leaders: Leaders): Promise<string> {
  const rows = shards.map(({ id, slots, members }, index) => {
    const count = countSlots(slotRanges(slots));
    const leader = leaders?.get(id);
    return [
      tinted(colors, index, letterOf(index)),
      id,
      String(count),
      `${((100 * count) / SLOT_COUNT).toFixed(1)} %`,
      members.map((node) => (node === leader ? colors.bold(`${node}*`) : node)).join(', '),
    ];
  });
  return renderTable(colors, SHARD_COLUMNS, rows);
}

const NODE_COLUMNS: readonly Column[] = [
  { title: 'NODE' },
  { title: 'REPLICAS', right: true },
  { title: 'LEADS', right: true },
  { title: 'SHARDS' },
];

interface Held {
  readonly node: string;
  readonly shards: readonly string[];
  readonly leads: ReadonlySet<string>;
}

function heldBy({ nodes, shards }: MapView, leaders: Leaders): Held[] {
  return nodes.map(({ id: node }) => {
    const held = shards.filter(({ members }) => members.includes(node)).map(({ id }) => id);
    return { node, shards: held, leads: new Set(held.filter((id) => leaders?.get(id) === node)) };
  });
}

function renderNodes(colors: Colors, held: readonly Held[], leaders: Leaders): Promise<string> {
  const rows = held.map(({ node, shards, leads }) => [
    node,
    String(shards.length),
    leaders === null ? '-' : String(leads.size),
    shorten(shards.map((id) => (leads.has(id) ? `${id}*` : id)).join(' '), HELD_WIDTH),
  ]);
  return renderTable(colors, NODE_COLUMNS, rows);
}

/** One line that says what the tables show. */
function balance({ shards }: MapView, held: readonly Held[], leaders: Leaders): string {
  const slots = spread(shards.map((shard) => countSlots(slotRanges(shard.slots))));
  const replicas = spread(held.map((each) => each.shards.length));
  const leads = leaders === null ? '' : `; leaders a node: ${spread(held.map((each) => each.leads.size))}`;
  return `slots a shard: ${slots}; replicas a node: ${replicas}${leads}`;
}

export async function renderRing(colors: Colors, view: MapView, leaders: Leaders): Promise<string> {
  const held = heldBy(view, leaders);
  const star = leaders === null ? '' : ', * leads';
  return [
    `cluster ${view.cluster_id}  epoch ${view.epoch}  (a cell is ${CELL_SLOTS} slots${star})`,
    '',
    slotBar(
      colors,
      view.shards.map((shard) => slotRanges(shard.slots)),
    ),
    '',
    await renderShards(colors, view, leaders),
    '',
    await renderNodes(colors, held, leaders),
    '',
    balance(view, held, leaders),
  ].join('\n');
}
