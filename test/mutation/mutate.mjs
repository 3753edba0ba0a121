/**
 * `npm run mutate -- core|planner|formats|store [--force] [file.ts …]`: one file of the source after the other, since the code
 * of all the others then runs at full speed; at the end a table of scores. What a run before has found about a mutant holds until the mutant's
 * file or its tests change (`--force`: as if there had been none).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const here = import.meta.dirname;
const root = resolve(here, '../..');
const stryker = join(here, 'node_modules/@stryker-mutator/core/bin/stryker.js');
const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));
const scopes = readJson(join(here, 'scopes.json'));

const [name = '', ...rest] = process.argv.slice(2);
const scope = scopes[name];
if (scope === undefined) {
  console.error(`usage: npm run mutate -- ${Object.keys(scopes).join('|')} [--force] [file.ts …]`);
  process.exit(2);
}
if (!existsSync(stryker)) throw new Error('npm ci in test/mutation first');

const flags = rest.filter((arg) => arg.startsWith('--'));
const named = rest.filter((arg) => !arg.startsWith('--'));
/** All but the door of the room, unless the scope lists them; in its order. */
const files =
  scope.files ??
  readdirSync(join(root, scope.folder))
    .filter((file) => file.endsWith('.ts') && file !== 'index.ts')
    .sort();
const reportsOf = (file) => join(here, 'reports', name, basename(file, '.ts'));

function mutate(file) {
  const reports = reportsOf(file);
  const config = join(reports, 'stryker.json');
  mkdirSync(reports, { recursive: true });
  writeFileSync(
    config,
    JSON.stringify({
      ...readJson(join(here, 'stryker.json')),
      mutate: [`${scope.folder}/${file}`],
      testPaths: scope.tests,
      plugins: [join(here, 'in-process-runner.ts')],
      incrementalFile: relative(root, join(reports, 'incremental.json')),
      jsonReporter: { fileName: join(reports, 'mutation.json') },
      htmlReporter: { fileName: join(reports, 'mutation.html') },
    }),
  );
  const env = {
    ...process.env,
    NODE_OPTIONS: `--import ${pathToFileURL(join(here, 'from-source.mjs')).href}`,
    ...(scope.examples === undefined ? {} : { MUTATION_EXAMPLES: String(scope.examples) }),
  };
  const { status } = spawnSync(process.execPath, [stryker, 'run', config, ...flags], {
    cwd: root,
    stdio: 'inherit',
    env,
  });
  if (status !== 0) process.exit(status ?? 1);
}

function line(title, statuses) {
  const count = (...wanted) => statuses.filter((status) => wanted.includes(status)).length;
  const killed = count('Killed');
  const timeout = count('Timeout');
  const alive = count('Survived', 'NoCoverage');
  const score = (100 * (killed + timeout)) / Math.max(1, killed + timeout + alive);
  return `| ${title} | ${killed + timeout + alive} | ${killed} | ${timeout} | ${alive} | ${score.toFixed(1)} % |`;
}

for (const file of files) if (named.length === 0 || named.includes(file)) mutate(file);

// Of all files of the scope, as they were found last.
const results = files
  .map((file) => ({ file, report: join(reportsOf(file), 'mutation.json') }))
  .filter(({ report }) => existsSync(report))
  .map(({ file, report }) => {
    const mutants = Object.values(readJson(report).files).flatMap((found) => found.mutants);
    return { file, statuses: mutants.map((mutant) => mutant.status) };
  })
  .filter(({ statuses }) => statuses.length > 0);
console.log('\n| file | mutants | killed | timeout | survived | score |\n|---|---|---|---|---|---|');
for (const { file, statuses } of results) console.log(line(`\`${file}\``, statuses));
console.log(
  line(
    'all',
    results.flatMap(({ statuses }) => statuses),
  ),
);
