/**
 * One page of a list, put together from the pages of shards: each slot's keys are taken from exactly one page, of a shard
 * that served the slot when it was asked. So a key that is there throughout appears exactly once, also while its slot
 * moves (F65), and slots on the move delay only themselves: what is covered need not be asked for again.
 */
import {
  ALL_SLOTS,
  containsSlot,
  equalSlots,
  intersectSlots,
  type SlotRanges,
  slotOfKey,
  subtractSlots,
} from '../../shardctrl/index.js';
import type { ListItem, ListPage } from '../store/index.js';

interface Taken {
  readonly page: ListPage;
  /** null: all that it served. */
  readonly slots: SlotRanges | null;
}

export interface MergedPage {
  /** In byte order of the key. */
  readonly items: readonly ListItem[];
  /** First key of the next page, or null at the end. */
  readonly next: Buffer | null;
}

export class ListCoverage {
  readonly #taken: Taken[] = [];
  #missing: SlotRanges = ALL_SLOTS;

  /** Slots that no page has covered so far. */
  get missing(): SlotRanges {
    return this.#missing;
  }

  get complete(): boolean {
    return this.#missing.length === 0;
  }

  /** Takes from the page what is missing. All pages must be of one range. */
  add(page: ListPage): void {
    const slots = intersectSlots(page.served, this.#missing);
    if (slots.length === 0) return;
    this.#missing = subtractSlots(this.#missing, slots);
    this.#taken.push({ page, slots: equalSlots(slots, page.served) ? null : slots });
  }

  /**
   * Ends after `limit` items or `maxBytes` of keys and values, but never before the first item; and before the first key
   * that some page has not reached, since another page may still put a key in between.
   */
  merge(limit: number, maxBytes: number): MergedPage {
    let bound: Buffer | null = null;
    for (const { page } of this.#taken) {
      if (page.next !== null && (bound === null || page.next.compare(bound) < 0)) bound = page.next;
    }
    const all = this.#taken.flatMap(({ page, slots }) =>
      page.items.filter(
        ({ key }) =>
          (bound === null || key.compare(bound) < 0) && (slots === null || containsSlot(slots, slotOfKey(key))),
      ),
    );
    all.sort((a, b) => a.key.compare(b.key));
    const items: ListItem[] = [];
    let bytes = 0;
    for (const item of all) {
      bytes += item.key.length + item.value.length;
      if (items.length === limit || (items.length > 0 && bytes > maxBytes)) return { items, next: item.key };
      items.push(item);
    }
    return { items, next: bound };
  }
}
