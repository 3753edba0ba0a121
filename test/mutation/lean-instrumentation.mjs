/**
 * A hook for modules. Instrumented code calls one function for each mutant that it comes by, to ask whether that one is
 * active, and another one that counts the visit: the random clusters take fifteen times as long that way. While mutants are
 * run nobody needs the counts, and only the active one has to be called about, since its visits are limited.
 */
export async function load(url, context, next) {
  const loaded = await next(url, context);
  const text = String(loaded.source ?? '');
  if (!text.includes('stryMutAct_')) return loaded;
  const source = text
    .replace(/stryCov_\w+\("[^)]*\)/g, '0')
    .replace(/(stryMutAct_\w+)\(("\d+")\)/g, '(activeMutant === $2 && $1($2))');
  return { ...loaded, source };
}
