/**
 * Stands in for `quorate node --config FILE` under the supervisor: serves the two paths that `dev` looks at, and dies at once
 * where a file `crash` lies in its data directory. Counts its starts in `starts`. Plain JavaScript: it starts in no time.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { parse } from 'yaml';

const [command, flag, file] = process.argv.slice(2);
if (command !== 'node' || flag !== '--config' || file === undefined) throw new Error('called otherwise than agreed');
const { id, data_dir, listen, bootstrap } = parse(readFileSync(file, 'utf8'));

mkdirSync(data_dir, { recursive: true });
const settings = Object.entries(process.env).filter(([name]) => name.startsWith('QUORATE_'));
writeFileSync(
  join(data_dir, 'environment'),
  settings
    .map(([name, value]) => `${name}=${value}\n`)
    .sort()
    .join(''),
);
if (existsSync(join(data_dir, 'crash'))) {
  console.error('the disk is made of cheese');
  process.exit(7);
}

const view = {
  controller: { leader: 'n1' },
  shards: Array.from({ length: bootstrap.shards }, (_, i) => ({
    id: `s${i + 1}`,
    leader: 'n1',
    members: Array.from({ length: bootstrap.replicas }, (_, member) => ({ node: `n${member + 1}` })),
  })),
};
const server = createServer((request, response) => {
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(request.url?.startsWith('/v1/cluster') ? view : { ready: true }));
});
process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => {
  if (existsSync(join(data_dir, 'deaf'))) return;
  appendFileSync(join(data_dir, 'stopped'), 'SIGTERM\n');
  process.exit(0);
});
appendFileSync(join(data_dir, 'starts'), `${process.pid}\n`);
const [host, port] = listen.http.split(':');
server.listen(Number(port), host, () => console.log(`${id} is up`));
