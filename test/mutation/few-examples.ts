/**
 * What the tests import as `fast-check` while mutants are run: properties are tried with no more examples than the scope says.
 * A mutant that no test notices has to stand all of them, and with a hundred examples of some hundred steps each that takes
 * minutes. Scores are lower for it, never higher.
 */
import real from 'fast-check';

const MOST = Number(process.env['MUTATION_EXAMPLES'] ?? Number.POSITIVE_INFINITY);

const assert = ((property: Parameters<typeof real.assert>[0], parameters?: Parameters<typeof real.assert>[1]) =>
  real.assert(property, { ...parameters, numRuns: Math.min(parameters?.numRuns ?? 100, MOST) })) as typeof real.assert;

export default { ...real, assert };
