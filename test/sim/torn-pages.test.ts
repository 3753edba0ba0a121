import { describe, expect, it } from 'vitest';
import { pack, unpack } from '../../src/kv/server/json-rpc.js';
import { Method } from '../../src/kv/server/rpc.js';
import { COMMAND_HEAD_BYTES, decodeCommand, encodeCommand, type PageCommand } from '../../src/kv/store/index.js';
import { SimRandom } from './fakes/random.js';
import { HEADER_BYTES } from './rpc-frames.js';
import { tornPage } from './torn-pages.js';

const RECORDS = ['a', 'b', 'c'].map((text) => Buffer.from(text));

/** What goes in one breath with the last page. */
const INSTALL = new Uint8Array(
  encodeCommand(
    { kind: 'install', move: 7, slots: [[1, 2]], round: 1, digest: '0'.repeat(32), revision: 1, clock_ms: 0 },
    0,
  ),
);

function frameOf(kind: number, method: number, records: readonly Buffer[]): Buffer {
  const page: PageCommand = { kind: 'page', move: 7, slots: [[1, 2]], records: [...records] };
  const header = Buffer.alloc(HEADER_BYTES, 9);
  header[1] = kind;
  header[2] = method;
  return Buffer.concat([header, pack({ shard: 3, commands: [new Uint8Array(encodeCommand(page, 0)), INSTALL] })]);
}

describe('a torn page', () => {
  it('lacks one record, and is else what was sent', () => {
    const frame = frameOf(0, Method.Page, RECORDS);
    const torn = Buffer.from(tornPage(frame, new SimRandom(1))!);
    expect(torn.subarray(0, HEADER_BYTES)).toEqual(frame.subarray(0, HEADER_BYTES));
    const { shard, commands } = unpack(torn.subarray(HEADER_BYTES)) as { shard: number; commands: Uint8Array[] };
    const command = commands[0]!;
    expect(shard).toBe(3);
    expect(commands.slice(1).map((bytes) => Buffer.from(bytes))).toEqual([Buffer.from(INSTALL)]);
    expect(command.length).toBeGreaterThan(COMMAND_HEAD_BYTES);
    const decoded = decodeCommand(command);
    if (!('command' in decoded) || decoded.command.kind !== 'page') throw new Error('it is no page any more');
    const { move, slots, records } = decoded.command;
    expect([move, slots]).toEqual([7, [[1, 2]]]);
    const left = records.map((record) => Buffer.from(record).toString());
    expect(left).toHaveLength(2);
    expect(['a', 'b', 'c']).toEqual(expect.arrayContaining(left));
  });

  it('is nothing else: not an answer, not another request, not a page without records', () => {
    const random = new SimRandom(1);
    expect(tornPage(frameOf(1, Method.Page, RECORDS), random)).toBeNull();
    expect(tornPage(frameOf(0, Method.Copy, RECORDS), random)).toBeNull();
    expect(tornPage(frameOf(0, Method.Page, []), random)).toBeNull();
  });
});
