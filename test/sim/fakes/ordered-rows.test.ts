import { describe, expect, it } from 'vitest';
import { OrderedRows } from './ordered-rows.js';
import { SimRandom } from './random.js';

describe('ordered rows', () => {
  it('finds every row that a scan shows, also after first children were emptied and filled again', () => {
    const key = (n: number): Buffer => Buffer.from(String(n).padStart(6, '0'));
    const rows = new OrderedRows();
    for (let n = 0; n < 400; n++) rows.put(key(n * 1000), Buffer.from('old'));
    for (let n = 0; n < 100; n++) rows.delete(key(n * 1000));
    // All below the bound of what is the first child now, so many that it splits, in an order that splits it in the middle.
    const random = new SimRandom(1);
    const fresh = random.shuffle(Array.from({ length: 300 }, (_, i) => i * 100 + 1));
    for (const n of fresh) rows.put(key(n), Buffer.from('new'));
    const seen: string[] = [];
    rows.scan(Buffer.alloc(0), null, (found) => seen.push(found.toString()) > 0);
    expect(seen).toHaveLength(600);
    for (const n of fresh) expect(rows.get(key(n))?.toString()).toBe('new');
  });
});
