/** A verification in tables: what was compared, and what differs; and what to do about it. */
import type {
  VerifyDifference,
  VerifyPlanView,
  VerifyReplicaView,
  VerifyShardView,
  VerifyView,
} from '../client/index.js';
import { type Colors, type Column, renderTable } from './output.js';
import { byteText, countText, printable, shorten } from './text.js';

const SLOTS_WIDTH = 40;

const REPLICA_COLUMNS: readonly Column[] = [
  { title: 'SHARD' },
  { title: 'SCOPE' },
  { title: 'INDEX', right: true },
  { title: 'NODE' },
  { title: 'STATE' },
  { title: 'KEYS', right: true },
  { title: 'BYTES', right: true },
  { title: 'READ', right: true },
  { title: 'DETAIL' },
];

const GOOD: ReadonlySet<string> = new Set(['read', 'clean']);
const BAD: ReadonlySet<string> = new Set(['failed', 'unanswered', 'differences']);

const tinted = (colors: Colors, word: string): string =>
  GOOD.has(word) ? colors.green(word) : BAD.has(word) ? colors.red(word) : colors.yellow(word);

function readText({ state, bytes, read_bytes }: VerifyReplicaView): string {
  if (state === 'read') return '100 %';
  if (bytes === null) return '-';
  return `${bytes === 0 ? 100 : Math.floor((100 * read_bytes) / bytes)} %`;
}

function replicaRows(colors: Colors, shard: VerifyShardView): string[][] {
  return shard.replicas.map((replica) => [
    shard.id,
    shard.scope,
    countText(replica.index ?? shard.index),
    replica.node,
    tinted(colors, replica.state),
    countText(replica.keys),
    byteText(replica.bytes),
    shard.scope === 'records' ? readText(replica) : '-',
    replica.detail ?? '-',
  ]);
}

/** Escaped: a key must not take over the terminal. */
function keyText({ key, key_encoding }: VerifyDifference): string {
  return key === null ? '-' : printable(Buffer.from(key, key_encoding === 'base64' ? 'base64' : 'utf8'));
}

const DIFFERENCE_COLUMNS: readonly Column[] = ['WHERE', 'KIND', 'NODES', 'SLOTS', 'KEY', 'DETAIL'].map((title) => ({
  title,
}));

function differenceRows(where: string, differences: readonly VerifyDifference[]): string[][] {
  return differences.map((one) => [
    where,
    one.kind,
    one.nodes.join(',') || '-',
    one.slots === null ? '-' : shorten(one.slots, SLOTS_WIDTH),
    keyText(one),
    one.detail,
  ]);
}

export function verifyHeadline(colors: Colors, { id, state, result, reason }: VerifyView): string {
  const said = state === 'done' ? tinted(colors, result ?? '') : colors.yellow(state);
  return `verification ${colors.bold(id)} ${said}${reason === undefined ? '' : `: ${reason}`}`;
}

function planLines(plan: VerifyPlanView): string[] {
  const { id, state, checked, receipts, keys, bytes, unchecked } = plan;
  return [
    `plan ${id} (${state}): ${checked} of ${receipts} receipts checked, of ${keys} keys and ${byteText(bytes)}`,
    ...unchecked.map((sentence) => `not checked: ${sentence}`),
  ];
}

export async function renderVerification(colors: Colors, view: VerifyView): Promise<string> {
  const rows = view.shards.flatMap((shard) => replicaRows(colors, shard));
  const lines = [verifyHeadline(colors, view), '', await renderTable(colors, REPLICA_COLUMNS, rows)];
  if (view.plan !== null) lines.push('', ...planLines(view.plan));
  const differences = [
    ...differenceRows(`plan ${view.plan?.id}`, view.plan?.differences ?? []),
    ...view.shards.flatMap((shard) => differenceRows(shard.id, shard.differences)),
  ];
  if (differences.length > 0) lines.push('', await renderTable(colors, DIFFERENCE_COLUMNS, differences));
  return lines.join('\n');
}

/** One line that says what is wrong and what to do; null: nothing is. */
export function verifyComplaint(view: VerifyView): string | null {
  const { id, state, result } = view;
  if (result === 'differences') return `verification ${id} found differences: ${whereText(view)}; ${remedyOf(view)}`;
  if (state === 'cancelled') return `verification ${id} was cancelled before it was done`;
  if (state === 'failed') return `verification ${id} failed: ${view.reason ?? 'no reason was given'}; verify again`;
  if (result !== 'incomplete') return null;
  return `verification ${id} found no difference, but could not compare everything: ${missingText(view)}; verify again when that is better`;
}

/** `s1 on n3, plan p5`. */
function whereText({ shards, plan }: VerifyView): string {
  const parts = shards.flatMap(({ id, differences }) => {
    const nodes = [...new Set(differences.flatMap((one) => one.nodes))].sort();
    return differences.length === 0 ? [] : [`${id}${nodes.length === 0 ? '' : ` on ${nodes.join(', ')}`}`];
  });
  if (plan !== null && plan.differences.length > 0) parts.push(`plan ${plan.id}`);
  return parts.join('; ');
}

/** Where one replica of a shard is to blame and the others are sound, it is made anew; else a person has to look first. */
function remedyOf({ shards, plan }: VerifyView): string {
  const odd = shards.filter(({ differences }) => differences.length > 0);
  const [shard] = odd;
  const nodes = new Set(shard?.differences.flatMap((one) => one.nodes) ?? []);
  const [node] = nodes;
  if (odd.length !== 1 || nodes.size !== 1 || (plan?.differences.length ?? 0) > 0) {
    return 'keep a copy of the data directories before you change anything, and report it';
  }
  const members = `quorate shards members ${shard!.id}`;
  return `make that replica anew from the others: '${members} --remove ${node}', then '${members} --add ${node}'`;
}

function missingText({ shards, plan }: VerifyView): string {
  const replicas = shards.flatMap(({ id, replicas: all }) =>
    all
      .filter(({ state }) => state !== 'read')
      .map(({ node, detail }) => `${id} on ${node}${detail === null ? '' : ` (${detail})`}`),
  );
  return [...replicas, ...(plan?.unchecked ?? [])].join('; ');
}
