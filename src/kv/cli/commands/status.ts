import type { Argv } from 'yargs';
import type { ClusterView } from '../../client/index.js';
import type { Globals } from '../flags.js';
import { missingLines } from '../missing-text.js';
import { renderNodes } from '../node-table.js';
import { type Colors, type Column, print, renderTable } from '../output.js';
import { areWeighed, byteText, countText } from '../text.js';
import { withClient } from '../with-client.js';

type Shard = ClusterView['shards'][number];

const GOOD = new Set(['ok', 'healthy', 'leader', 'follower']);

function stateText(colors: Colors, state: string): string {
  if (GOOD.has(state)) return colors.green(state);
  return state === 'no_leader' || state === 'down' || state === 'damaged' ? colors.red(state) : colors.yellow(state);
}

/** What one node holds of one shard: `leader 1234`, `follower 1230 (-4)`, `down`; empty where it holds nothing. */
function cell(colors: Colors, shard: Shard, node: string): string {
  const member = shard.members.find((candidate) => candidate.node === node);
  if (member === undefined) return '';
  if (member.state !== 'ok') return stateText(colors, member.state);
  const applied = member.applied === null ? '' : ` ${member.applied}`;
  const lag = member.lag === null || member.lag === 0 ? '' : colors.yellow(` (-${member.lag})`);
  const role = member.role === 'leader' ? colors.bold('leader') : member.role;
  return `${role}${applied}${lag}`;
}

function renderShards(colors: Colors, view: ClusterView): Promise<string> {
  const nodes = view.nodes.map((node) => node.id);
  const weighed = areWeighed(view.shards);
  const columns: Column[] = [
    { title: 'SHARD' },
    { title: 'STATE' },
    { title: 'SLOTS', right: true },
    ...(weighed ? [{ title: 'WEIGHT', right: true }] : []),
    { title: 'LEADER' },
    { title: 'TERM', right: true },
    { title: 'KEYS', right: true },
    { title: 'BYTES', right: true },
    ...nodes.map((node) => ({ title: node })),
  ];
  const rows = view.shards.map((shard) => [
    shard.id,
    stateText(colors, shard.state),
    String(shard.slot_count),
    ...(weighed ? [String(shard.weight ?? 1)] : []),
    shard.leader ?? colors.red('none'),
    countText(shard.term),
    countText(shard.keys),
    byteText(shard.bytes),
    ...nodes.map((node) => cell(colors, shard, node)),
  ]);
  return renderTable(colors, columns, rows);
}

async function render(colors: Colors, view: ClusterView): Promise<string> {
  const { controller } = view;
  const wellTold =
    view.shards.every((shard) => shard.state === 'ok') && view.nodes.every((node) => node.state === 'healthy');
  return [
    wellTold ? colors.green(view.health) : colors.yellow(view.health),
    // A node of an earlier version does not say.
    ...missingLines(view.missing_replicas ?? []).map((line) => colors.yellow(line)),
    `cluster ${view.cluster_id}  epoch ${view.epoch}  controller ${controller.leader ?? 'without a leader'}` +
      ` (term ${countText(controller.term)}, of ${controller.members.join(', ')})`,
    '',
    await renderShards(colors, view),
    '',
    await renderNodes(colors, view.nodes, view),
  ].join('\n');
}

export const statusCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'status',
    'how the cluster is: health, shards and nodes',
    (command) => command,
    async (args) => {
      const view = await withClient(args, (client) => client.cluster());
      await print(args.output, view, (colors) => render(colors, view));
    },
  );
