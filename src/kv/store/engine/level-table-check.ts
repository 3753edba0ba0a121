/**
 * Verifies the checksums that LevelDB writes into its tables and, as bound to Node, never looks at: a flipped bit would
 * give wrong bytes, or, in a table's filter, hide a row (F38).
 *
 *   table    := block* footer               data blocks, filter block, meta index, index; each checked by its trailer
 *   block    := content, type u8, crc u32le type: 0 plain, 1 Snappy; masked CRC-32C over content and type
 *   footer   := handle handle padding magic meta index, index; 48 bytes in all; magic is 0xdb4775248b80fb57, u64le
 *   handle   := offset varint, size varint  of a block's content
 *   index    := entry* restart* count       restarts and their count are u32le; values are handles
 *   entry    := shared varint, rest varint, valueLength varint, key bytes (rest), value
 *
 * (table/format.cc and doc/table_format.md of LevelDB.)
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LevelFileError } from './engine-damaged-error.js';
import type { LevelManifest } from './level-manifest.js';
import { maskedCrc } from './level-record-format.js';
import { decodeSnappy } from './snappy-decoder.js';
import { VarintReader } from './varint-reader.js';

const FOOTER_BYTES = 48;
const TRAILER_BYTES = 5;
/** Tables read at a time: of libuv's four threads one stays free. */
const READERS = 3;
const MAGIC = 0xdb4775248b80fb57n;
const PLAIN = 0;
const SNAPPY = 1;

interface Handle {
  readonly offset: number;
  readonly size: number;
}

const readHandle = (reader: VarintReader): Handle => ({ offset: reader.number(), size: reader.number() });

/** The content as stored. Throws RangeError when it fails its CRC or lies outside. */
function checkBlock(table: Buffer, { offset, size }: Handle): Buffer {
  const end = offset + size;
  if (end + TRAILER_BYTES > table.length - FOOTER_BYTES) throw new RangeError('a block lies outside the file');
  if (maskedCrc(table.subarray(offset, end + 1)) !== table.readUInt32LE(end + 1)) {
    throw new RangeError(`the block at byte ${offset} fails its CRC`);
  }
  return table.subarray(offset, end);
}

function unpack(table: Buffer, handle: Handle): Buffer {
  const content = checkBlock(table, handle);
  const type = table[handle.offset + handle.size];
  if (type === PLAIN) return content;
  if (type === SNAPPY) return decodeSnappy(content);
  throw new RangeError(`unknown compression ${type}`);
}

/** The handles that an index or meta index block holds. */
function handlesIn(block: Buffer): Handle[] {
  if (block.length < 4) throw new RangeError('an index is too short');
  const restarts = block.readUInt32LE(block.length - 4);
  const end = block.length - 4 - restarts * 4;
  if (end < 0) throw new RangeError('an index is too short for its restarts');
  const reader = new VarintReader(block.subarray(0, end));
  const handles: Handle[] = [];
  while (!reader.done) {
    reader.number();
    const keyRest = reader.number();
    const valueLength = reader.number();
    reader.bytes(keyRest);
    handles.push(readHandle(new VarintReader(reader.bytes(valueLength))));
  }
  return handles;
}

/** Throws RangeError with the reason when any of its blocks is not as written. */
export function checkTable(table: Buffer): void {
  if (table.length < FOOTER_BYTES) throw new RangeError('it is too short');
  const footer = table.subarray(table.length - FOOTER_BYTES);
  if (footer.readBigUInt64LE(FOOTER_BYTES - 8) !== MAGIC) throw new RangeError('it does not end as a table does');
  const reader = new VarintReader(footer);
  const metaIndex = readHandle(reader);
  const index = readHandle(reader);
  for (const handle of handlesIn(unpack(table, metaIndex))) checkBlock(table, handle);
  for (const handle of handlesIn(unpack(table, index))) checkBlock(table, handle);
}

const tableNames = (number: number): string[] => [
  `${String(number).padStart(6, '0')}.ldb`,
  `${String(number).padStart(6, '0')}.sst`,
];

async function checkTableFile(
  directory: string,
  present: ReadonlySet<string>,
  number: number,
  size_bytes: number,
): Promise<void> {
  const name = tableNames(number).find((candidate) => present.has(candidate));
  if (name === undefined) throw new LevelFileError(`table ${number}`, 'it is missing');
  const table = await readFile(join(directory, name));
  if (table.length !== size_bytes) {
    throw new LevelFileError(name, `it has ${table.length} bytes, the MANIFEST says ${size_bytes}`);
  }
  try {
    checkTable(table);
  } catch (error) {
    if (error instanceof RangeError) throw new LevelFileError(name, error.message, { cause: error });
    throw error;
  }
}

/** Rejects with LevelFileError at the first table of the MANIFEST that is missing, of another size, or fails a checksum. */
export async function checkTables(directory: string, names: readonly string[], manifest: LevelManifest): Promise<void> {
  const present = new Set(names);
  const tables = manifest.tables.entries();
  // One iterator for all readers: each takes the next table when it is done with its last.
  const reader = async (): Promise<void> => {
    for (const [number, size_bytes] of tables) await checkTableFile(directory, present, number, size_bytes);
  };
  await Promise.all(Array.from({ length: READERS }, reader));
}
