/** Images of LevelDB directories as a crash could leave them, and what must be true of the state opened from one. */
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLevelEngines } from '../../../../src/kv/store/engine/index.js';
import type { EngineOp, EngineRow, StateEngine } from '../../../../src/raft/index.js';

export type Image = Map<string, Buffer>;

/** Park and Miller's generator: the same seed, the same damage. */
export class Lehmer {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** Uniform in 0 .. below - 1. */
  below(below: number): number {
    this.#state = (this.#state * 48_271) % 2_147_483_647;
    return this.#state % below;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let i = 0; i < length; i++) bytes[i] = this.below(256);
    return bytes;
  }
}

const fill = (n: number): Buffer => new Lehmer(n + 1).bytes(1 + ((n * 37) % 230));

/** Batch n: says its number, writes a row of its own and one of ten shared rows, deletes the row of batch n - 5. */
export function batchOf(n: number): EngineOp[] {
  const count = Buffer.from(String(n));
  return [
    { key: Buffer.from('n'), value: count },
    { key: Buffer.from(`row-${n}`), value: fill(n) },
    { key: Buffer.from(`shared-${n % 10}`), value: count },
    { key: Buffer.from(`row-${n - 5}`), value: null },
  ];
}

function stateAfter(n: number): Map<string, string> {
  const state = new Map<string, string>();
  for (let i = 1; i <= n; i++) {
    for (const { key, value } of batchOf(i)) {
      if (value === null) state.delete(Buffer.from(key).toString());
      else state.set(Buffer.from(key).toString(), Buffer.from(value).toString('hex'));
    }
  }
  return state;
}

const asText = (rows: EngineRow[]): [string, string][] => rows.map((r) => [r.key.toString(), r.value.toString('hex')]);

/** How many batches the engine holds. Throws when it holds anything but exactly the first so many. */
export async function batchesIn(engine: StateEngine): Promise<number> {
  const n = Number(engine.get(Buffer.from('n'))?.toString() ?? '0');
  const rows = asText(await engine.range({ gte: Buffer.alloc(0), lt: Buffer.from([0xff]) }));
  const expected = [...stateAfter(n)].sort(([a], [b]) => (a < b ? -1 : 1));
  if (JSON.stringify(rows) !== JSON.stringify(expected)) {
    throw new Error(`the state says ${n} batches, but its rows are not those: ${rows.map(([key]) => key).join(' ')}`);
  }
  return n;
}

export function readImage(directory: string): Image {
  return new Map(
    readdirSync(directory)
      .filter((name) => name !== 'LOCK' && !name.startsWith('LOG'))
      .map((name) => [name, readFileSync(join(directory, name))]),
  );
}

/** An image taken while LevelDB may be at work: taken again until nothing has changed under it. */
export function readLiveImage(directory: string): Image {
  for (;;) {
    try {
      const image = readImage(directory);
      const again = readImage(directory);
      const same = [...image].every(([name, bytes]) => /\.(log|ldb)$/.test(name) || again.get(name)?.equals(bytes));
      if (same && image.size === again.size) return image;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

export function writeImage(directory: string, image: Image): void {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  for (const [name, bytes] of image) writeFileSync(join(directory, name), bytes);
}

export const logsOf = (image: Image): string[] => [...image.keys()].filter((name) => name.endsWith('.log')).sort();
export const tablesOf = (image: Image): string[] => [...image.keys()].filter((name) => name.endsWith('.ldb')).sort();
export const manifestOf = (image: Image): string => image.get('CURRENT')!.toString().trim();

export const withFile = (image: Image, name: string, bytes: Buffer): Image => new Map(image).set(name, bytes);

export function withFlippedBit(image: Image, name: string, bit: number): Image {
  const bytes = Buffer.from(image.get(name)!);
  bytes[bit >>> 3]! ^= 1 << (bit & 7);
  return withFile(image, name, bytes);
}

export const withoutFile = (image: Image, name: string): Image => {
  const copy = new Map(image);
  copy.delete(name);
  return copy;
};

/** In the middle of the biggest table: no reader of the block there can make sense of it, whatever LevelDB has open. */
export function spoilBlock(directory: string): void {
  const tables = tablesOf(readImage(directory)).map((name) => join(directory, name));
  const [biggest] = tables.sort((a, b) => statSync(b).size - statSync(a).size);
  if (biggest === undefined) throw new Error('there is no table to be spoiled');
  const table = openSync(biggest, 'r+');
  const at = statSync(biggest).size >> 1;
  writeSync(table, Buffer.alloc(8, 0xff), 0, 8, at);
  closeSync(table);
}

/** A temporary data directory with one engine called "e". */
export class EngineSandbox {
  readonly root = mkdtempSync(join(tmpdir(), 'quorate-engine-'));
  readonly directory = join(this.root, 'e');

  open(writeBufferBytes?: number): Promise<StateEngine> {
    const size = writeBufferBytes === undefined ? {} : { writeBufferBytes };
    return openLevelEngines({ directory: this.root, ...size }).then((engines) => engines.open('e'));
  }

  /** How many batches the image opens to. Rejects as `open` does, and when the batches are not a prefix. */
  async batchesAfterCrash(image: Image): Promise<number> {
    writeImage(this.directory, image);
    const engine = await this.open();
    try {
      return await batchesIn(engine);
    } finally {
      await engine.close();
    }
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
