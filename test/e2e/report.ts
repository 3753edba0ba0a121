/** Figures of a run, for whoever reads its output: one line of JSON each on stderr, if `QUORATE_E2E_FIGURES` is set. */
export function note(what: string, figures: Readonly<Record<string, unknown>>): void {
  if (process.env['QUORATE_E2E_FIGURES'] !== undefined) process.stderr.write(`${what}: ${JSON.stringify(figures)}\n`);
}
