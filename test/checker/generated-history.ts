/**
 * Linearizable histories of a given size, made by running an exact register under a seeded schedule: clients call, the
 * register takes effect at an instant between call and return, some answers are lost (and some of those writes never
 * happen, or happen much later). For the checker's own tests and measurements.
 */
import type { Condition, Operation, Outcome } from './history.js';

export interface GeneratorOptions {
  readonly seed: number;
  readonly keys: number;
  readonly operations: number;
  /** Each has one operation open at a time. */
  readonly clients: number;
  /** Whether answers tell revision and version. */
  readonly revisions: boolean;
  /** Share of operations whose answer is lost, 0 to 1. */
  readonly unknown: number;
}

interface Cell {
  value: string | null;
  revision: number;
  version: number;
}

interface Open {
  readonly draft: Omit<Operation, 'return' | 'outcome'>;
  outcome: Outcome | null;
}

/** mulberry32. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function generate(options: GeneratorOptions): Operation[] {
  return new Generator(options).run();
}

class Generator {
  readonly #options: GeneratorOptions;
  readonly #random: () => number;
  readonly #cells = new Map<string, Cell>();
  readonly #done: Operation[] = [];
  /** Lost answers whose write may still happen. */
  readonly #adrift: Open[] = [];
  #time = 0;
  #calls = 0;

  constructor(options: GeneratorOptions) {
    this.#options = options;
    this.#random = randomFrom(options.seed);
  }

  run(): Operation[] {
    const open: (Open | null)[] = Array.from({ length: this.#options.clients }, () => null);
    let running = 0;
    while (this.#calls < this.#options.operations || running > 0) {
      const client = Math.floor(this.#random() * open.length);
      const current = open[client]!;
      this.#time++;
      if (current === null) {
        if (this.#calls === this.#options.operations) continue;
        open[client] = { draft: this.#draft(client), outcome: null };
        running++;
      } else if (current.outcome === null && this.#random() >= this.#options.unknown) {
        current.outcome = this.#apply(current.draft);
      } else {
        this.#finish(current);
        open[client] = null;
        running--;
      }
      this.#drift();
    }
    return this.#done.sort((a, b) => a.call - b.call);
  }

  #draft(client: number): Open['draft'] {
    const id = this.#calls++;
    const key = `k${Math.floor(this.#random() * this.#options.keys)}`;
    const dice = this.#random();
    const kind = dice < 0.5 ? 'get' : dice < 0.95 ? 'put' : 'delete';
    const value = kind === 'put' ? `v${id}` : null;
    const base = { id, client: `c${client}`, kind, key, value, idempotencyKey: null, call: this.#time } as const;
    return { ...base, condition: this.#condition(kind, key) };
  }

  #condition(kind: string, key: string): Condition {
    const dice = this.#random();
    const revision = this.#cells.get(key)?.revision;
    if (kind === 'get' || dice < 0.8) return { kind: 'none' };
    if (dice < 0.85) return { kind: 'exists' };
    if (dice < 0.9) return kind === 'put' ? { kind: 'absent' } : { kind: 'none' };
    return revision === undefined || !this.#options.revisions ? { kind: 'none' } : { kind: 'revision', revision };
  }

  #finish({ draft, outcome }: Open): void {
    const lost = outcome === null || this.#random() < this.#options.unknown;
    if (lost) this.#done.push({ ...draft, return: null, outcome: { kind: 'unknown', reason: 'lost' } });
    else this.#done.push({ ...draft, return: this.#time, outcome });
    if (outcome === null) this.#adrift.push({ draft, outcome });
  }

  /** Now and then a write that was given up happens after all. */
  #drift(): void {
    if (this.#adrift.length === 0 || this.#random() >= 0.01) return;
    const [late] = this.#adrift.splice(Math.floor(this.#random() * this.#adrift.length), 1);
    if (this.#random() < 0.5) this.#apply(late!.draft);
  }

  #apply({ kind, key, value, condition }: Open['draft']): Outcome {
    const cell = this.#cells.get(key) ?? { value: null, revision: 0, version: 0 };
    this.#cells.set(key, cell);
    const told = this.#options.revisions;
    if (kind === 'get') {
      if (cell.value === null) return { kind: 'missing' };
      const numbers = told ? { revision: cell.revision, version: cell.version } : {};
      return { kind: 'found', value: cell.value, ...numbers };
    }
    const holds =
      condition.kind === 'none' ||
      (condition.kind === 'absent'
        ? cell.value === null
        : cell.value !== null && (condition.kind === 'exists' || condition.revision === cell.revision));
    if (!holds) {
      const revision = cell.value === null ? null : cell.revision;
      return { kind: 'precondition_failed', ...(told ? { revision } : {}) };
    }
    if (kind === 'delete' && cell.value === null) return { kind: 'missing' };
    // Revisions are drawn from a counter that all keys of a shard share.
    cell.revision += 1 + Math.floor(this.#random() * 3);
    const created = cell.value === null;
    cell.value = value;
    cell.version = value === null ? 0 : cell.version + 1;
    const { revision, version } = cell;
    if (kind === 'delete') return { kind: 'deleted', ...(told ? { revision } : {}) };
    return { kind: 'stored', created, ...(told ? { revision, version } : {}) };
  }
}
