/** Preloaded: TypeScript from its source; what the tests import as `vitest` and `fast-check` are those of this folder. */
import { register } from 'node:module';
import { register as registerTsx } from 'tsx/esm/api';

registerTsx();
const ours = {
  vitest: new URL('./vitest-in-process.ts', import.meta.url).href,
  'fast-check': new URL('./few-examples.ts', import.meta.url).href,
};
const hooks = `const ours = ${JSON.stringify(ours)};
export const resolve = (specifier, context, next) =>
  next(ours[specifier] === context.parentURL?.split('?')[0] ? specifier : (ours[specifier] ?? specifier), context);`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
