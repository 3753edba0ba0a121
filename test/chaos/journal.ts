/** What happened to the cluster during a run, on one clock: milliseconds since the run began. */

export interface FaultSpan {
  readonly nemesis: string;
  /** In words: `kill -9 n1, n3`. */
  readonly what: string;
  readonly lane: 'faults' | 'reshards' | 'members';
  readonly began_ms: number;
  /** When healing began; null: not yet. */
  healed_ms: number | null;
  /** From there until every shard served; null: it never did, or it was not asked (what is no harm needs no healing). */
  recovered_ms: number | null;
  /** How a reshard or a change of nodes and members ended, and what else is worth saying. */
  ended: string;
}

/** From then on this was so, until the next of the same group. */
export interface LeaderChange {
  readonly at_ms: number;
  /** A shard, or `controller`. */
  readonly group: string;
  readonly leader: string | null;
  readonly term: number | null;
}

export interface EpochChange {
  readonly at_ms: number;
  readonly epoch: number;
  readonly shards: readonly string[];
}

export interface Note {
  readonly at_ms: number;
  readonly text: string;
}

export class Journal {
  readonly faults: FaultSpan[] = [];
  readonly leaders: LeaderChange[] = [];
  readonly epochs: EpochChange[] = [];
  readonly notes: Note[] = [];
  /** Nodes that ended by themselves, and failures of the harness. */
  readonly crashes: Note[] = [];
  /** Why the run counts as one without progress. */
  readonly stalls: Note[] = [];
  readonly #now: () => number;
  readonly #say: (line: string) => void;
  readonly #crashed = new AbortController();

  constructor(now: () => number, say: (line: string) => void) {
    this.#now = now;
    this.#say = say;
  }

  /** Aborts at the first crash: what comes after it would only hide it. */
  get crashed(): AbortSignal {
    return this.#crashed.signal;
  }

  now(): number {
    return this.#now();
  }

  begin(nemesis: string, what: string, lane: FaultSpan['lane']): FaultSpan {
    const span: FaultSpan = {
      nemesis,
      what,
      lane,
      began_ms: this.#now(),
      healed_ms: null,
      recovered_ms: null,
      ended: '',
    };
    this.faults.push(span);
    this.#line(`${nemesis}: ${what}`);
    return span;
  }

  /** How something ended that is no harm. */
  end(span: FaultSpan, ended: string): void {
    span.healed_ms = this.#now();
    span.ended = ended;
  }

  /** A note that is for the report only. */
  remark(text: string): void {
    this.notes.push({ at_ms: this.#now(), text });
  }

  note(text: string): void {
    this.notes.push({ at_ms: this.#now(), text });
    this.#line(text);
  }

  crash(text: string): void {
    this.crashes.push({ at_ms: this.#now(), text });
    this.#line(`CRASH: ${text}`);
    this.#crashed.abort();
  }

  stall(text: string): void {
    this.stalls.push({ at_ms: this.#now(), text });
    this.#line(`NO PROGRESS: ${text}`);
  }

  #line(text: string): void {
    this.#say(`${(this.#now() / 1000).toFixed(1).padStart(7)} s  ${text}`);
  }
}
