/**
 * Who may import whom (architecture.md): `kv → shardctrl → raft` through each room's index, never backwards; the core
 * nothing but itself; the world (files, sockets, databases, HTTP) only in adapters and composition roots.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const SRC = join(ROOT, 'src');

interface Import {
  readonly file: string;
  readonly target: string;
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .sort();

/** Relative targets as paths below `src`, others as they stand. */
const imports: readonly Import[] = files.flatMap((file) => {
  const text = readFileSync(join(SRC, file), 'utf8');
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\b[^'"`;]*?from\s+'([^']+)'|\bimport\('([^']+)'\)|(?:^|\n)import\s+'([^']+)'/g,
  );
  return [...found].map((match) => {
    const target = match[1] ?? match[2] ?? match[3] ?? '';
    const path = target.startsWith('.') ? relative(SRC, resolve(SRC, dirname(file), target)) : target;
    return { file, target: path };
  });
});

/** `kv/store`, `kv/store/engine` → `kv/store`; `raft/core`; `shardctrl`. */
const roomOf = (path: string): string => {
  const [top, sub] = path.split('/');
  return top === 'shardctrl' || sub === undefined || sub.includes('.') ? (top ?? '') : `${top}/${sub}`;
};
const withoutComments = (file: string): string =>
  readFileSync(join(SRC, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
const inSrc = (target: string): boolean => /^(raft|shardctrl|kv)\//.test(target);
const broken = (rule: (each: Import) => boolean): string[] =>
  imports.filter(rule).map(({ file, target }) => `${file} → ${target}`);

describe('import rules', () => {
  it('finds the source and its imports', () => {
    expect(files.length).toBeGreaterThan(50);
    expect(imports.length).toBeGreaterThan(200);
  });

  it('never points backwards: raft knows no shards, shardctrl no keys', () => {
    const rank = (path: string): number => ['raft', 'shardctrl', 'kv'].indexOf(path.split('/')[0] ?? '');
    expect(broken(({ file, target }) => inSrc(target) && rank(target) > rank(file))).toEqual([]);
  });

  it('enters raft and shardctrl from outside only through their index', () => {
    const doors = new Set(['raft/index.js', 'shardctrl/index.js']);
    expect(
      broken(({ file, target }) => inSrc(target) && target.split('/')[0] !== file.split('/')[0] && !doors.has(target)),
    ).toEqual([]);
  });

  it('keeps the consensus core to itself', () => {
    expect(broken(({ file, target }) => file.startsWith('raft/core/') && !target.startsWith('raft/core/'))).toEqual([]);
  });

  it('enters a room of kv only through its index, or by the types of its API and configuration', () => {
    const open = new Set(['kv/server/api.js', 'kv/server/config.js', 'kv/server/api.js']);
    expect(
      broken(
        ({ file, target }) =>
          target.startsWith('kv/') &&
          file.startsWith('kv/') &&
          roomOf(target) !== roomOf(file) &&
          !target.endsWith('/index.js') &&
          !open.has(target),
      ),
    ).toEqual([]);
  });

  it('touches the world only in adapters and composition roots', () => {
    const world =
      /^(node:(fs|net|http|https|tls|dgram|child_process|worker_threads|os)(\/|$)|level$|classic-level$|express$|axios$|@opentelemetry\/(sdk|exporter))/;
    const allowed = [
      /^raft\/log\/(node-log-files|worker-log-storage|log-worker)\.ts$/,
      /^raft\/log\/[a-z-]*(lock|worker)[a-z-]*\.ts$/,
      /^raft\/transport\//,
      /^kv\/store\/engine\//,
      /^kv\/http\//,
      /^kv\/client\/axios-send\.ts$/,
      /^kv\/cli\//,
      /^kv\/server\/(identity|config-file|telemetry|start-node|system-ports)\.ts$/,
    ];
    expect(broken(({ file, target }) => world.test(target) && !allowed.some((path) => path.test(file)))).toEqual([]);
  });

  it('has no clock, timer or chance in the deterministic rooms', () => {
    const rooms = /^(raft\/core|raft\/runtime|shardctrl|kv\/store|kv\/migration)\//;
    const banned =
      /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bsetTimeout\b|\bsetInterval\b|\bsetImmediate\b|\bperformance\.now\b|\brandomUUID\b|\brandomBytes\b/;
    const found = files
      .filter((file) => rooms.test(file) && !file.startsWith('kv/store/engine/'))
      .filter((file) => banned.test(withoutComments(file)));
    expect(found).toEqual([]);
  });

  it('has no `any`, no switched-off checks and no util folder', () => {
    const banned = /:\s*any\b|\bas any\b|<any>/;
    expect(files.filter((file) => banned.test(withoutComments(file)))).toEqual([]);
    const switchedOff = /@ts-(ignore|nocheck|expect-error)|biome-ignore/;
    expect(files.filter((file) => switchedOff.test(readFileSync(join(SRC, file), 'utf8')))).toEqual([]);
    expect(files.filter((file) => /(^|\/)utils?\//.test(file))).toEqual([]);
  });
});
