/**
 * Durations as the API writes them: `[1-9][0-9]*` and `ms`, `s`, `m`, `h` or `d`.
 */
const DURATION = /^([1-9][0-9]*)(ms|s|m|h|d)$/;

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds; null if malformed; `Infinity` if beyond what an integer holds exactly. */
export function parseDuration(text: string): number | null {
  const match = DURATION.exec(text);
  if (match === null) return null;
  const duration_ms = Number(match[1]) * UNIT_MS[match[2]!]!;
  return Number.isSafeInteger(duration_ms) ? duration_ms : Number.POSITIVE_INFINITY;
}
