/**
 * The slots drawn as one line: a letter per shard, and each cell shows the shard that has most of the cell's slots. Letters
 * say it all; colours only make it quicker to see.
 */
import type { Colors } from './output.js';
import { SLOT_COUNT, type SlotRange } from './slot-text.js';

export const CELLS = 64;
export const CELL_SLOTS = SLOT_COUNT / CELLS;

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const NOBODY = '.';
/** Four marks: each stands under the first slot of a quarter. */
const QUARTERS = 4;

/** With more shards than letters they begin again: neighbours still differ. */
export const letterOf = (index: number): string => LETTERS[index % LETTERS.length] ?? NOBODY;

export function tinted(colors: Colors, index: number, text: string): string {
  const tints = [colors.cyan, colors.yellow, colors.magenta, colors.green, colors.blue, colors.red];
  return tints[index % tints.length]?.(text) ?? text;
}

/** For each cell the index of the shard that has most of it, or null: nobody has any. The first of equals. */
export function cellOwners(shards: readonly (readonly SlotRange[])[]): (number | null)[] {
  const most = new Array<number>(CELLS).fill(0);
  const owners = new Array<number | null>(CELLS).fill(null);
  shards.forEach((ranges, index) => {
    const counts = new Array<number>(CELLS).fill(0);
    for (const [first, last] of ranges) {
      const end = Math.min(last, SLOT_COUNT - 1);
      for (let slot = first; slot <= end; slot++) counts[Math.floor(slot / CELL_SLOTS)]! += 1;
    }
    counts.forEach((count, cell) => {
      if (count <= most[cell]!) return;
      most[cell] = count;
      owners[cell] = index;
    });
  });
  return owners;
}

/** Two lines: the bar, and the slots below it. */
export function slotBar(colors: Colors, shards: readonly (readonly SlotRange[])[]): string {
  const bar = cellOwners(shards)
    .map((owner) => (owner === null ? colors.dim(NOBODY) : tinted(colors, owner, letterOf(owner))))
    .join('');
  const quarter = (at: number): string => String((at * SLOT_COUNT) / QUARTERS).padEnd(CELLS / QUARTERS);
  const scale = Array.from({ length: QUARTERS }, (_, at) => quarter(at)).join('');
  return `${bar}\n${colors.dim(scale.trimEnd())}`;
}
