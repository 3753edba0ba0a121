/** Preloaded: TypeScript from its source, and `vitest` is the one that runs its tests again in the same process. */
import { register } from 'node:module';
import { register as registerTsx } from 'tsx/esm/api';

registerTsx();
const ours = new URL('./vitest-in-process.ts', import.meta.url).href;
const hooks = `export const resolve = (specifier, context, next) =>
  next(specifier === 'vitest' ? ${JSON.stringify(ours)} : specifier, context);`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
