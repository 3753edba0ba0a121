/**
 * The disk of one replica: writes wait in order until they are synced; a crash loses those that wait. It keeps what a
 * real log and state engine would keep, and knows what the replica may promise.
 */
import type { ConfState, Entry, HardState, Index, Message, Ready, SnapshotMeta } from '../../../src/raft/core/index.js';

export interface Waiting {
  readonly seq: number;
  readonly hardState: HardState | null;
  readonly entries: readonly Entry[];
  readonly snapshot: SnapshotMeta | null;
  readonly messages: readonly Message[];
}

export class FakeDisk {
  hardState: HardState;
  compacted: { index: Index; term: Entry['term'] };
  entries: Entry[] = [];
  applied: Index;
  /** The configuration as of each applied index that changed it, ascending. */
  confs: { readonly from: Index; readonly conf: ConfState }[];
  waiting: Waiting[] = [];

  constructor(conf: ConfState) {
    this.hardState = { term: 0 as Entry['term'], vote: 0, commit: 0 as Index };
    this.compacted = { index: 0 as Index, term: 0 as Entry['term'] };
    this.applied = 0 as Index;
    this.confs = [{ from: 0 as Index, conf }];
  }

  get last(): number {
    return this.compacted.index + this.entries.length;
  }

  confAt(at: number): ConfState {
    let found = this.confs[0]!.conf;
    for (const { from, conf } of this.confs) if (from <= at) found = conf;
    return found;
  }

  enqueue(ready: Ready): void {
    if (ready.seq === 0) {
      if (ready.messagesAfterAppend.length > 0) throw new Error('messages that wait for nothing');
      return;
    }
    this.waiting.push({
      seq: ready.seq,
      hardState: ready.hardState,
      entries: ready.entries,
      snapshot: ready.snapshot,
      messages: ready.messagesAfterAppend,
    });
  }

  /** Makes the oldest waiting write durable. */
  syncOne(): Waiting | undefined {
    const write = this.waiting.shift();
    if (write === undefined) return undefined;
    if (write.snapshot !== null) this.#install(write.snapshot);
    this.#append(write.entries);
    if (write.hardState !== null) this.hardState = write.hardState;
    return write;
  }

  #install(snapshot: SnapshotMeta): void {
    this.compacted = { index: snapshot.index, term: snapshot.term };
    this.entries = [];
    this.applied = snapshot.index;
    this.confs = [{ from: snapshot.index, conf: snapshot.conf }];
  }

  #append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    const keep = first.index - this.compacted.index - 1;
    if (keep < 0 || keep > this.entries.length) throw new Error(`a gap in the log before ${first.index}`);
    this.entries = [...this.entries.slice(0, keep), ...entries];
  }

  compact(to: Index): void {
    const drop = to - this.compacted.index;
    if (drop <= 0) return;
    this.compacted = { index: to, term: this.entries[drop - 1]!.term };
    this.entries = this.entries.slice(drop);
  }

  crash(): void {
    this.waiting = [];
  }
}
