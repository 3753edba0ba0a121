/** Texts of `--help` and `--list`. */
import { MEMBERS, MEMBERS_DESCRIBE, NEMESES, RESHARD, RESHARD_DESCRIBE } from './nemeses/catalogue.js';
import { WORKLOADS } from './workloads/catalogue.js';

export const HELP = `npm run chaos -- [options]: real nodes, real faults, and a verdict on what clients saw

  --time 1m              how long faults go on (30s, 5m, 1h)
  --nemesis kill,...     which faults: a family, a variant like kill:all, all, or none (default all)
  --workload all         which clients: register, append, counter, list, bank
  --seed 7               decides faults, victims, their times, and what clients do
  --nodes 3 --shards 2 --replicas 3
  --network auto         how nodes are joined: proxy, namespaces (Linux, root), or what fits (auto)
  --limit 10s            from the heal of a fault until every shard serves
  --endpoints http://…   a cluster of your own instead; its processes are left alone: only ${RESHARD}, ${MEMBERS} (leaders) or none
  --out chaos-report     where timeline and histories go
  --list                 all nemeses and workloads

exit codes: 0 ok, 1 a promise was broken, 2 wrong usage, 3 not served in time, 4 a node or the harness crashed, 130 interrupted
`;

export function renderList(): string {
  const rows = (entries: readonly (readonly [string, string])[]): string =>
    entries.map(([name, describe]) => `  ${name.padEnd(20)} ${describe}\n`).join('');
  return [
    'nemeses\n',
    rows([
      ...NEMESES.map(({ name, describe }) => [name, describe] as const),
      [RESHARD, RESHARD_DESCRIBE],
      [MEMBERS, MEMBERS_DESCRIBE],
    ]),
    'workloads\n',
    rows(WORKLOADS.map(({ name, describe }) => [name, describe] as const)),
  ].join('');
}
