/** The flags that every command knows, and how flags are read beyond what yargs checks. */
import type { Argv } from 'yargs';
import { UsageError } from './cli-error.js';

export type OutputFormat = 'table' | 'json' | 'yaml';

export interface Globals {
  endpoints: string;
  output: OutputFormat;
  timeout: string;
}

const DEFAULT_ENDPOINTS = 'http://127.0.0.1:7001,http://127.0.0.1:7002,http://127.0.0.1:7003';
const FORMATS: readonly OutputFormat[] = ['table', 'json', 'yaml'];

/** To `quorate` itself; commands inherit them. */
export function withGlobals(yargs: Argv, env: NodeJS.ProcessEnv): Argv<Globals> {
  const endpoints = env['QUORATE_ENDPOINTS'];
  return yargs
    .option('endpoints', {
      type: 'string',
      requiresArg: true,
      describe: 'nodes to talk to, separated by commas (QUORATE_ENDPOINTS)',
      default: endpoints === undefined || endpoints === '' ? DEFAULT_ENDPOINTS : endpoints,
    })
    .option('output', {
      alias: 'o',
      choices: FORMATS,
      requiresArg: true,
      describe: 'how to print answers',
      default: 'table' as OutputFormat,
    })
    .option('timeout', {
      type: 'string',
      requiresArg: true,
      describe: 'for each request with its retries',
      default: '10s',
    });
}

const DURATION = /^([1-9][0-9]*)(ms|s|m|h|d)$/;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `50ms`, `8s`, `5m`, `2h`, `30d`. */
export function duration(flag: string, text: string): number {
  const match = DURATION.exec(text);
  const unit_ms = UNIT_MS[match?.[2] ?? ''];
  if (match === null || unit_ms === undefined) {
    throw new UsageError(
      `${flag}: must be a whole number with ms, s, m, h or d (like 50ms), not ${JSON.stringify(text)}`,
    );
  }
  return Number(match[1]) * unit_ms;
}

const SIZE = /^([1-9][0-9]{0,11})(B|KiB|MiB|GiB)$/;
const UNIT_BYTES: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** Bytes of `500KiB`, `10MiB`, `1GiB`. */
export function byteSize(flag: string, text: string): number {
  const match = SIZE.exec(text);
  const unit_bytes = UNIT_BYTES[match?.[2] ?? ''];
  if (match === null || unit_bytes === undefined) {
    throw new UsageError(
      `${flag}: must be a whole number with B, KiB, MiB or GiB (like 10MiB), not ${JSON.stringify(text)}`,
    );
  }
  return Number(match[1]) * unit_bytes;
}

/** What both kinds of plans may be held to. */
export const PLAN_LIMIT_OPTIONS = {
  'max-pause': { type: 'string', requiresArg: true, describe: 'no slot refuses writes longer than this' },
  'max-rate': { type: 'string', requiresArg: true, describe: 'what its copies may send each second, like 10MiB' },
} as const;

export interface PlanLimits {
  readonly maxPause_ms?: number;
  readonly maxRate_bytes?: number;
}

const RATE_BYTES_MIN = 1024;

/** Of `PLAN_LIMIT_OPTIONS`: only what was said. */
export function planLimits(args: {
  readonly maxPause: string | undefined;
  readonly maxRate: string | undefined;
}): PlanLimits {
  const { maxPause, maxRate } = args;
  const rate_bytes = maxRate === undefined ? undefined : byteSize('--max-rate', maxRate);
  if (rate_bytes !== undefined && rate_bytes < RATE_BYTES_MIN) {
    throw new UsageError(`--max-rate: must be 1KiB or more, not ${JSON.stringify(maxRate)}`);
  }
  return {
    ...(maxPause === undefined ? {} : { maxPause_ms: duration('--max-pause', maxPause) }),
    ...(rate_bytes === undefined ? {} : { maxRate_bytes: rate_bytes }),
  };
}

export function wholeNumber(flag: string, text: string, min: number, max: number): number {
  const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw new UsageError(`${flag}: must be a whole number from ${min} to ${max}, not ${JSON.stringify(text)}`);
  }
  return value;
}

/** A bare `host:port` is taken for http. */
export function endpointList(text: string): string[] {
  const endpoints = text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
    .map((word) => (word.includes('://') ? word : `http://${word}`));
  if (endpoints.length === 0) throw new UsageError('--endpoints: names no node');
  for (const endpoint of endpoints) {
    if (!/^https?:\/\/[^/]/.test(endpoint) || !URL.canParse(endpoint)) {
      throw new UsageError(`--endpoints: ${JSON.stringify(endpoint)} must look like http://127.0.0.1:7001`);
    }
  }
  return endpoints;
}

/** Names separated by commas, by flag (without dashes); no name twice, whichever flag has it. */
export function nameLists<F extends string>(
  flags: Readonly<Record<F, string | undefined>>,
): Partial<Record<F, string[]>> {
  const seen = new Set<string>();
  const lists: Partial<Record<F, string[]>> = {};
  for (const flag of Object.keys(flags) as F[]) {
    const text = flags[flag];
    if (text === undefined) continue;
    const names = text.split(',').map((name) => name.trim());
    for (const name of names) {
      if (name === '')
        throw new UsageError(`--${flag}: must be names separated by commas, not ${JSON.stringify(text)}`);
      if (seen.has(name)) throw new UsageError(`--${flag}: names ${name} twice`);
      seen.add(name);
    }
    lists[flag] = names;
  }
  return lists;
}

/** Numbers above 0 by name: `s1=2,s2=0.5`. */
export function numbersByName(flag: string, text: string): Record<string, number> {
  const numbers: Record<string, number> = {};
  for (const pair of text.split(',')) {
    const match = /^\s*([^=\s]+)=([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*$/.exec(pair);
    const [name = '', value = 0] = [match?.[1], Number(match?.[2] ?? 0)];
    if (match === null || value <= 0) {
      throw new UsageError(`${flag}: must be names with a number above 0, like s1=2, not ${JSON.stringify(pair)}`);
    }
    if (numbers[name] !== undefined) throw new UsageError(`${flag}: names ${name} twice`);
    numbers[name] = value;
  }
  return numbers;
}

/**
 * The same arguments with the values of a flag that is given several times joined by commas: yargs, which is told to take
 * everything as it is typed, would keep the last one only.
 */
export function joinRepeated(args: readonly string[], flags: readonly string[]): string[] {
  const joined: string[] = [];
  const places = new Map<string, number>();
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === '--') return [...joined, ...args.slice(i)];
    const flag = flags.find((name) => arg === `--${name}` || arg.startsWith(`--${name}=`));
    const equals = arg.indexOf('=');
    const value = equals < 0 ? args[i + 1] : arg.slice(equals + 1);
    if (flag === undefined || value === undefined || (equals < 0 && value.startsWith('-'))) {
      joined.push(arg);
      continue;
    }
    if (equals < 0) i++;
    const place = places.get(flag);
    if (place === undefined) places.set(flag, joined.push(`--${flag}=${value}`) - 1);
    else joined[place] = `${joined[place]},${value}`;
  }
  return joined;
}

/** The bytes that a KEY or PREFIX on the command line stands for. */
export function keyArgument(text: string, enc: string): Uint8Array {
  if (enc === 'utf8') return Buffer.from(text, 'utf8');
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.toString('base64url') !== text.replace(/=+$/, '')) {
    throw new UsageError(`--enc b64url: ${JSON.stringify(text)} is not base64url`);
  }
  return bytes;
}

export const ENC_OPTION = {
  choices: ['utf8', 'b64url'] as const,
  requiresArg: true,
  describe: 'how the key is written on the command line',
  default: 'utf8' as 'utf8' | 'b64url',
};
