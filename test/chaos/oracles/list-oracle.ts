/** A key that is there throughout appears exactly once in every complete list, in byte order and with its value. */

export interface Scan {
  readonly client: string;
  readonly prefix: string;
  /** Of one page. */
  readonly limit: number;
  readonly items: readonly { readonly key: string; readonly value: string }[];
  readonly call: number;
  readonly return: number;
  /** A list that could not be ended says nothing of what is missing, but what it showed must be right. */
  readonly outcome: 'listed' | 'failed';
}

/** `fixed`: keys that were there before the first list and are never written again, with their values. */
export function judgeScans(scans: readonly Scan[], fixed: ReadonlyMap<string, string>): readonly string[] {
  return scans.flatMap((scan) => {
    const problems = problemsOf(scan, fixed);
    if (problems.length === 0) return [];
    const { client, prefix, limit, items, call, return: end } = scan;
    const head = `${client} list ${prefix} in pages of ${limit} (${items.length} keys) [${call}, ${end}]`;
    return [`${head}: ${problems.slice(0, 5).join('; ')}${problems.length > 5 ? `; ${problems.length - 5} more` : ''}`];
  });
}

function problemsOf({ items, outcome, prefix }: Scan, fixed: ReadonlyMap<string, string>): string[] {
  const problems: string[] = [];
  const times = new Map<string, number>();
  let before: Buffer | null = null;
  for (const { key, value } of items) {
    times.set(key, (times.get(key) ?? 0) + 1);
    const bytes = Buffer.from(key);
    if (before !== null && Buffer.compare(before, bytes) >= 0) problems.push(`${key} comes after ${before}`);
    before = bytes;
    if (!key.startsWith(prefix)) problems.push(`${key} was not asked for`);
    const expected = fixed.get(key);
    if (expected !== undefined && expected !== value) problems.push(`${key} holds ${value}, not ${expected}`);
  }
  for (const key of fixed.keys()) {
    const seen = times.get(key) ?? 0;
    if (seen > 1) problems.push(`${key} appears ${seen} times`);
    if (seen === 0 && outcome === 'listed') problems.push(`${key} does not appear`);
  }
  return problems;
}
