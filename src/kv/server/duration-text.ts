/** Durations as the API writes them, in the largest unit that says them whole: `10m`, not `600s`. */
const UNITS: readonly (readonly [unit: string, length_ms: number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
];

export function durationText(duration_ms: number): string {
  const [unit, length_ms] = UNITS.find(([, length]) => duration_ms > 0 && duration_ms % length === 0) ?? ['ms', 1];
  return `${duration_ms / length_ms}${unit}`;
}
