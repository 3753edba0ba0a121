/**
 * Pure comparisons of what replicas of one shard have said of the same mark. Where most of them agree, the others are named;
 * where no majority of those that answered agrees, all are, since nobody can say which of them is right.
 */
import { type SlotRanges, type SlotSums, slotsOf } from '../../../shardctrl/index.js';
import type { Finding, ListedRecord, RecordListing, ViewReport } from '../../store/index.js';
import type { VerifyDifference } from '../api.js';
import { difference, names } from './difference.js';

/** What the replica on a node has said. */
export interface Said<T> {
  readonly node: string;
  readonly said: T;
}

export type Reported = Said<ViewReport>;

const SLOTS_IN_BLOCK = 256;

interface Parting {
  /** Nodes that say the same, the largest group first. */
  readonly groups: readonly (readonly string[])[];
  /** Whom the difference is about. */
  readonly odd: readonly string[];
}

/** null: all say the same. */
export function parting<T>(all: readonly Said<T>[], textOf: (said: T) => string): Parting | null {
  const byText = new Map<string, string[]>();
  for (const { node, said } of all) {
    const text = textOf(said);
    byText.set(text, [...(byText.get(text) ?? []), node]);
  }
  if (byText.size < 2) return null;
  const groups = [...byText.values()].sort((a, b) => b.length - a.length);
  const isMost = groups[0]!.length * 2 > all.length;
  return { groups, odd: (isMost ? groups.slice(1) : groups).flat().sort() };
}

/** `n3 differs from n1 and n2`. */
const partingText = ({ groups, odd }: Parting): string =>
  odd.length < groups.flat().length
    ? `${names(odd)} ${odd.length === 1 ? 'differs' : 'differ'} from ${names(groups[0]!)}`
    : `${groups.map(names).join(' against ')}, and no majority agrees`;

/** What each replica has found within itself. */
export function findingsOf({ node, said }: Reported): VerifyDifference[] {
  const found = said.findings.map((finding: Finding) => difference({ ...finding, nodes: [node] }));
  const more = said.findingCount - said.findings.length;
  return more === 0 ? found : [...found, difference({ kind: 'more', nodes: [node], detail: `and ${more} more` })];
}

export interface Compared {
  readonly differences: readonly VerifyDifference[];
  /** Blocks of slots that have to be looked at slot by slot. */
  readonly blocks: readonly number[];
}

const sumsText = ({ keys, bytes, digest, idempotencyRecords }: SlotSums): string =>
  `${keys}/${bytes}/${idempotencyRecords}/${digest}`;

/** Reports of one index. */
export function compareReports(all: readonly Reported[]): Compared {
  const differences: VerifyDifference[] = [];
  const kept = parting(all, (report) => report.stateHash);
  if (kept !== null) {
    differences.push(
      difference({ kind: 'replicas', nodes: kept.odd, detail: `the states in memory: ${partingText(kept)}` }),
    );
  }
  const whole = all.filter(({ said }) => said.blocks !== null);
  const count = whole[0]?.said.blocks?.length ?? 0;
  const blocks = Array.from({ length: count }, (_, block) => block).filter(
    (block) => parting(whole, ({ blocks: sums }) => sumsText(sums![block]!)) !== null,
  );
  return { differences, blocks };
}

/** The slots of one block. Slots in which the same replicas part in the same way are one difference. */
export function compareSlots(
  block: number,
  all: readonly Said<readonly SlotSums[]>[],
): { readonly differences: readonly VerifyDifference[]; readonly slots: SlotRanges } {
  const found = new Map<string, { readonly parts: Parting; readonly slots: number[]; readonly detail: string }>();
  for (let i = 0; i < SLOTS_IN_BLOCK; i++) {
    const parts = parting(all, (sums) => sumsText(sums[i]!));
    if (parts === null) continue;
    const text = JSON.stringify(parts.groups);
    const slot = block * SLOTS_IN_BLOCK + i;
    const known = found.get(text);
    if (known !== undefined) known.slots.push(slot);
    else found.set(text, { parts, slots: [slot], detail: slotDetail(slot, all, i) });
  }
  const differences = [...found.values()].map(({ parts, slots, detail }) =>
    difference({
      kind: 'replicas',
      nodes: parts.odd,
      slots: slotsOf(slots),
      detail: `${partingText(parts)}: ${detail}`,
    }),
  );
  return { differences, slots: slotsOf([...found.values()].flatMap(({ slots }) => slots)) };
}

function slotDetail(slot: number, all: readonly Said<readonly SlotSums[]>[], i: number): string {
  const said = all.map(({ node, said: sums }) => {
    const { keys, bytes, idempotencyRecords, digest } = sums[i]!;
    const more = idempotencyRecords === 0 ? '' : ` and ${idempotencyRecords} idempotency records`;
    return `${node} has ${keys} keys${more}, ${bytes} bytes, digest ${digest.slice(0, 8)}`;
  });
  return `in slot ${slot} ${said.join('; ')}`;
}

// ---------------------------------------------------------------------------------------------------------- by key

const nameOf = ({ key, token }: ListedRecord): string => `${Buffer.from(key).toString('latin1')} ${token}`;

/** In the order in which listings have keys; null: all of them are there. */
function horizonOf(all: readonly Said<RecordListing>[]): Buffer | null {
  let horizon: Buffer | null = null;
  for (const { said } of all) {
    if (said.complete) continue;
    const last = said.records.filter(({ token }) => token === '').at(-1);
    const key = Buffer.from(last?.key ?? []);
    if (horizon === null || Buffer.compare(key, horizon) < 0) horizon = key;
  }
  return horizon;
}

/** Keys of which replicas have different records, or some none. Beyond what all of them have listed nothing is said. */
export function compareListings(all: readonly Said<RecordListing>[]): readonly VerifyDifference[] {
  const horizon = horizonOf(all);
  const within = ({ key, token }: ListedRecord): boolean =>
    horizon === null || (token === '' && Buffer.compare(Buffer.from(key), horizon) <= 0);
  const byName = new Map<string, ListedRecord>();
  const has = all.map(({ node, said }) => {
    const records = new Map(said.records.filter(within).map((record) => [nameOf(record), record] as const));
    for (const [name, record] of records) byName.set(name, record);
    return { node, said: records };
  });
  return [...byName].flatMap(([name, record]) => {
    const said = has.map(({ node, said: records }) => ({ node, said: records.get(name) }));
    const parts = parting(said, recordText);
    return parts === null && said.every(({ said: one }) => one?.state === 'present')
      ? []
      : [recordDifference(record, said, parts)];
  });
}

const recordText = (record: ListedRecord | undefined): string =>
  record === undefined ? 'none' : `${record.state} ${record.digest}`;

function recordDifference(
  { slot, key, token }: ListedRecord,
  all: readonly Said<ListedRecord | undefined>[],
  parts: Parting | null,
): VerifyDifference {
  const said = all.map(({ node, said: record }) => `${node} ${recordSays(record)}`);
  const what = token === '' ? '' : `idempotency record ${token}: `;
  const slots: SlotRanges = [[slot, slot]];
  const nodes = parts?.odd ?? all.map(({ node }) => node);
  return difference({ kind: 'record', nodes, slots, key, detail: `${what}${said.join('; ')}` });
}

function recordSays(record: ListedRecord | undefined): string {
  if (record === undefined) return 'has none';
  const revision = record.revision === 0 ? 'one' : `revision ${record.revision}`;
  switch (record.state) {
    case 'present':
      return `has ${revision}`;
    case 'rotten':
      return 'has one that is not what was written';
    case 'unlisted':
      return `has ${revision}, which its index does not know`;
    case 'missing':
      return 'has none, though its index knows it';
  }
}
