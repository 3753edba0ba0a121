/** Wrong usage is told in one line that names the option, before anything is started. */
import { describe, expect, it } from 'vitest';
import { type ChaosOptions, parseArguments } from './arguments.js';

const parse = (line: string) => parseArguments(line.split(' ').filter(Boolean), () => '42');

function optionsOf(line: string): ChaosOptions {
  const parsed = parse(line);
  if (parsed.kind !== 'run') throw new Error(`${line}: ${JSON.stringify(parsed)}`);
  return parsed.options;
}
const namesOf = (line: string): string[] => optionsOf(line).nemeses.map(({ name }) => name);

describe('the command line of a chaos run', () => {
  it('reads what the issue asks for', () => {
    const options = optionsOf('--time 5m --nemesis kill,partition,reshard --seed 7');
    expect(options).toMatchObject({ time_ms: 300_000, seed: '7', nodes: 3, shards: 2, replicas: 3, reshard: true });
    expect(options.nemeses.map(({ name }) => name)).toEqual([
      'kill:one',
      'kill:several',
      'kill:all',
      'partition:isolate',
      'partition:one-way',
      'partition:halves',
      'partition:ring',
      'partition:bridge',
    ]);
  });

  it('does everything by default, and draws a seed', () => {
    const options = optionsOf('');
    expect(options).toMatchObject({ seed: '42', reshard: true, members: true, time_ms: 60_000, limit_ms: 10_000 });
    expect(options.workloads.map(({ name }) => name)).toEqual(['register', 'append', 'counter', 'list', 'bank']);
    expect(namesOf('').length).toBeGreaterThan(15);
  });

  it('takes variants, and nothing twice', () => {
    expect(namesOf('--nemesis partition:ring,kill:all,kill:all')).toEqual(['partition:ring', 'kill:all']);
    expect(optionsOf('--nemesis none')).toMatchObject({ nemeses: [], reshard: false, members: false });
    expect(optionsOf('--nemesis members')).toMatchObject({ nemeses: [], reshard: false, members: true });
  });

  it('has only what needs no processes for a cluster that is not its own', () => {
    const options = optionsOf('--endpoints http://127.0.0.1:7001/,http://127.0.0.1:7002');
    expect(options).toMatchObject({ nemeses: [], reshard: true, members: false });
    expect(options.endpoints).toEqual(['http://127.0.0.1:7001', 'http://127.0.0.1:7002']);
    const leaders = optionsOf('--endpoints http://127.0.0.1:7001 --nemesis members');
    expect(leaders).toMatchObject({ nemeses: [], reshard: false, members: true });
  });

  it.each([
    ['--time 5', '--time 5: must be a duration like 30s, 5m or 1h'],
    ['--time 10ms', '--time 10ms: must be from 1s to 24h'],
    ['--time 25h', '--time 25h: must be from 1s to 24h'],
    ['--nemesis earthquake', '--nemesis earthquake: there is none of that name; there are kill, stop, '],
    ['--nemesis kill:twice', '--nemesis kill:twice: there is none of that name'],
    ['--nemesis none,kill', '--nemesis: none excludes all others'],
    ['--nemesis ,', '--nemesis: names nothing'],
    ['--workload chess', '--workload chess: there is none of that name; there are register, append, '],
    ['--nodes 2', '--nodes 2: must be a whole number from 3 to 9'],
    ['--nodes three', '--nodes three: must be a whole number from 3 to 9'],
    ['--shards 0', '--shards 0: must be a whole number from 1 to 16'],
    ['--replicas 5', '--replicas 5: there are only 3 nodes'],
    ['--network pigeons', '--network pigeons: must be auto, proxy or namespaces'],
    ['--seed 7;rm', '--seed 7;rm: must be 1 to 40 letters, digits, - or _'],
    ['--limit 0s', '--limit 0s: must be a duration'],
    ['--endpoints localhost:7001', '--endpoints localhost:7001: must look like http://127.0.0.1:7001'],
    ['--endpoints http://127.0.0.1:7001 --nemesis kill', "--nemesis kill: needs the cluster's processes"],
    ['--endpoints http://127.0.0.1:7001 --nemesis all', 'there is only reshard, members (or none)'],
    ['--endpoints http://127.0.0.1:7001 --nodes 5', '--nodes: excludes --endpoints'],
    ['--frobnicate', "Unknown option '--frobnicate'"],
    ['surprise', "Unexpected argument 'surprise'"],
    ['--time', "Option '--time <value>' argument missing"],
  ])('refuses %s', (line, message) => {
    const parsed = parse(line);
    expect(parsed.kind).toBe('wrong');
    expect(parsed.kind === 'wrong' && parsed.message).toContain(message);
    expect(parsed.kind === 'wrong' && parsed.message).not.toContain('\n');
  });
});
