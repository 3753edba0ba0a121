/** What a log should hold, kept the plain way; and the engine driven step by step beside it. */
import type { Entry, GroupId, Index, LogWrite, RecoveredGroup, Term } from '../../../src/raft/index.js';
import type { LogFiles } from '../../../src/raft/log/index.js';
import { SegmentedLog } from '../../../src/raft/log/segmented-log.js';
import { type StoredGroup, toRecovered } from '../../../src/raft/log/stored-group.js';
import { WriteBatcher } from '../../../src/raft/log/write-batcher.js';

export type LogOp =
  | { readonly kind: 'write'; readonly write: LogWrite }
  | { readonly kind: 'compact'; readonly group: GroupId; readonly to: Index; readonly toTerm: Term }
  | { readonly kind: 'remove'; readonly group: GroupId };

export type LogImage = ReadonlyMap<GroupId, RecoveredGroup>;

export const EMPTY_IMAGE: LogImage = new Map();
const NO_HARD_STATE = { term: 0 as Term, vote: 0, commit: 0 as Index };

export function applyOp(image: LogImage, op: LogOp): LogImage {
  const next = new Map(image);
  if (op.kind === 'remove') {
    next.delete(op.group);
    return next;
  }
  if (op.kind === 'compact') {
    const old = next.get(op.group)!;
    if (op.to <= old.compacted.index) return next;
    const entries = old.entries.filter((entry) => entry.index > op.to);
    next.set(op.group, { ...old, compacted: { index: op.to, term: op.toTerm }, entries });
    return next;
  }
  const { group, hardState, snapshot, entries } = op.write;
  let state = next.get(group) ?? null;
  if (snapshot !== null) {
    const compacted = { index: snapshot.index, term: snapshot.term };
    const kept = state?.hardState ?? NO_HARD_STATE;
    state = { group, hardState: kept, snapshot, compacted, entries: [], damaged: null };
  }
  if (state === null) throw new Error(`the model does not have group ${group}`);
  if (hardState !== null) state = { ...state, hardState };
  const first = entries[0];
  if (first !== undefined) {
    state = { ...state, entries: [...state.entries.filter((entry) => entry.index < first.index), ...entries] };
  }
  next.set(group, state);
  return next;
}

const entryText = (entry: Entry): string =>
  `${entry.index}:${entry.term}:${entry.kind}:${Buffer.from(entry.data).toString('latin1')}`;

/** One line that two equal groups share. */
export const groupText = (group: RecoveredGroup): string =>
  JSON.stringify([group.hardState, group.snapshot, group.compacted, group.entries.map(entryText)]);

/**
 * What is wrong with `found`: groups that are neither damaged nor as in `image`, groups that are in only one of the two,
 * damage that has been forgotten.
 */
export function differences(found: LogImage, image: LogImage): string[] {
  const wrong: string[] = [];
  for (const group of new Set([...found.keys(), ...image.keys()])) {
    const is = found.get(group);
    const should = image.get(group);
    if (is?.damaged) continue;
    if (is !== undefined && should?.damaged) wrong.push(`group ${group} is not damaged any more`);
    else if (is === undefined || should === undefined) wrong.push(`group ${group} is ${is ? 'there' : 'missing'}`);
    else if (groupText(is) !== groupText(should)) wrong.push(`${groupText(is)} instead of ${groupText(should)}`);
  }
  return wrong;
}

export const damagedOf = (found: LogImage): GroupId[] =>
  [...found.values()]
    .filter((group) => group.damaged !== null)
    .map((group) => group.group)
    .sort((a, b) => a - b);

export interface EngineOptions {
  readonly segmentBytes: number;
  readonly zeroAheadBytes: number;
}

/** A log with the model beside it; one batch a call of `write`. */
export class DrivenLog {
  readonly log: SegmentedLog;
  readonly found: LogImage;
  readonly #batcher: WriteBatcher;
  /** What the log holds after each batch since it was opened; the first one is what was found. */
  readonly images: LogImage[];
  /** How many of `images` must survive a power cut. */
  synced = 1;

  constructor(files: LogFiles, options: EngineOptions) {
    const { log, recovered } = SegmentedLog.open(files, { ...options, salt: Buffer.from('saltsalt') });
    this.log = log;
    this.#batcher = new WriteBatcher(recovered);
    this.found = imageOf(recovered);
    this.images = [this.found];
  }

  get image(): LogImage {
    return this.images.at(-1)!;
  }

  write(ops: readonly LogOp[]): 'ok' | 'full' {
    let image = this.image;
    for (const op of ops) {
      image = applyOp(image, op);
      if (op.kind === 'write') void this.#batcher.append(op.write);
      else if (op.kind === 'compact') this.#batcher.compact(op.group, op.to, op.toTerm);
      else void this.#batcher.remove(op.group);
    }
    const batch = this.#batcher.take();
    if (batch === null) return 'ok';
    this.images.push(image);
    return this.log.append([batch.bytes]);
  }

  sync(): void {
    this.log.sync();
    this.synced = this.images.length;
  }

  durably(...ops: LogOp[]): void {
    if (this.write(ops) === 'full') throw new Error('the disk is full');
    this.sync();
  }
}

const imageOf = (recovered: readonly StoredGroup[]): LogImage =>
  new Map(recovered.map((stored) => [stored.group, toRecovered(stored)]));
