/** Slots as the API writes them, `0-99,200`: read here, since the controller's own code would take longer to load than a command. */

export const SLOT_COUNT = 16_384;

export type SlotRange = readonly [first: number, last: number];

/** Inclusive. Whatever is no range is left out: this is for showing. */
export function slotRanges(text: string): SlotRange[] {
  const ranges: SlotRange[] = [];
  for (const range of text.split(',')) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(range);
    if (match !== null) ranges.push([Number(match[1]), Number(match[2] ?? match[1])]);
  }
  return ranges;
}

export const countSlots = (ranges: readonly SlotRange[]): number =>
  ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
