/** Reads the rows of a view page by page, no faster than whoever reads wants to. */
import type { EngineRow } from '../../../raft/index.js';
import { after } from '../key-layout.js';
import type { RowReader } from '../slot-table.js';

/** Small enough that handling a page takes less than a millisecond. */
const PAGE_ROWS = 256;
const PAGE_BYTES = 256 * 1024;

/** Told how many bytes have been read. Resolves when the next page may be; false: read no further. */
export type Pace = (bytes: number) => Promise<boolean>;

/** Calls `visit` for each row of the range, in order, until it returns false. False: the pace has ended it. */
export async function eachRow(
  reader: RowReader,
  from: Buffer,
  to: Buffer,
  pace: Pace,
  visit: (row: EngineRow) => boolean,
): Promise<boolean> {
  for (let gte = from; ; ) {
    const page = await reader.range({ gte, lt: to, limit: PAGE_ROWS, maxBytes: PAGE_BYTES });
    let bytes = 0;
    for (const row of page) {
      if (!visit(row)) return true;
      bytes += row.key.length + row.value.length;
    }
    const last = page.at(-1);
    if (last === undefined) return true;
    gte = after(last.key);
    if (!(await pace(bytes))) return false;
  }
}
