import type { Argv } from 'yargs';
import type { ClusterView } from '../../client/index.js';
import { UsageError } from '../cli-error.js';
import { type Globals, wholeNumber } from '../flags.js';
import { renderHot } from '../hot-report.js';
import { missingLines } from '../missing-text.js';
import { renderNodes } from '../node-table.js';
import { type Colors, type Column, print, renderTable } from '../output.js';
import { areWeighed, byteText, countText } from '../text.js';
import { withClient } from '../with-client.js';

type Shard = ClusterView['shards'][number];

const HOT_MAX = 1_000;
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

/** Only where there is something to say: what is balanced, or too short to count, is not. Nodes of earlier builds say nothing. */
function balanceLines(colors: Colors, { balance }: ClusterView): string[] {
  if (balance?.state !== 'unbalanced' && balance?.state !== 'stuck') return [];
  const soon = balance.auto && balance.state === 'unbalanced' ? ' (by itself, as soon as all is calm)' : '';
  return [colors.yellow(`${balance.detail}${soon}`)];
}

async function render(colors: Colors, view: ClusterView): Promise<string> {
  const { controller } = view;
  const wellTold =
    view.shards.every((shard) => shard.state === 'ok') && view.nodes.every((node) => node.state === 'healthy');
  return [
    wellTold ? colors.green(view.health) : colors.yellow(view.health),
    // A node of an earlier version does not say.
    ...missingLines(view.missing_replicas ?? []).map((line) => colors.yellow(line)),
    ...balanceLines(colors, view),
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
    (command) =>
      command
        .option('hot', { type: 'boolean', default: false, describe: 'the slots and keys that are asked for most' })
        .option('limit', { type: 'string', requiresArg: true, describe: 'with --hot: so many of each; default: 10' })
        .example('$0 status --hot --limit 20', 'see where the load comes from'),
    async (args) => {
      if (args.hot) {
        const options = args.limit === undefined ? {} : { limit: wholeNumber('--limit', args.limit, 1, HOT_MAX) };
        const hot = await withClient(args, (client) => client.hot(options));
        return print(args.output, hot, (colors) => renderHot(colors, hot));
      }
      if (args.limit !== undefined) throw new UsageError('--limit: goes with --hot');
      const view = await withClient(args, (client) => client.cluster());
      return print(args.output, view, (colors) => render(colors, view));
    },
  );
