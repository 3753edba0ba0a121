/**
 * Decodes Snappy's raw format (format_description.txt of Snappy), in which LevelDB packs the index of a table.
 *
 *   block    := length varint, element*
 *   element  := literal | copy, told apart by the low two bits of the first byte
 */
import { VarintReader } from './varint-reader.js';

function literalLength(reader: VarintReader, tag: number): number {
  const short = tag >>> 2;
  return short < 60 ? short + 1 : reader.bytes(short - 59).readUIntLE(0, short - 59) + 1;
}

/** Copies may overlap what they write: that is how a run is packed. */
function copyWithin(out: Buffer, at: number, offset: number, length: number): void {
  if (offset === 0 || offset > at || at + length > out.length) throw new RangeError('a copy reaches outside');
  for (let i = 0; i < length; i++) out[at + i] = out[at + i - offset]!;
}

/** Throws RangeError when the bytes are not Snappy's. */
export function decodeSnappy(packed: Buffer): Buffer {
  const reader = new VarintReader(packed);
  const length = reader.number();
  // A copy element makes at most 64 bytes out of 2: refuse a length that nothing could fill before allocating it.
  if (length > packed.length * 64) throw new RangeError('the length cannot be true');
  const out = Buffer.alloc(length);
  let at = 0;
  while (!reader.done) {
    const tag = reader.bytes(1)[0]!;
    const kind = tag & 3;
    if (kind === 0) {
      const literal = reader.bytes(literalLength(reader, tag));
      if (at + literal.length > length) throw new RangeError('more data than announced');
      at += literal.copy(out, at);
      continue;
    }
    const copied = kind === 1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1;
    const offset =
      kind === 1
        ? ((tag >>> 5) << 8) | reader.bytes(1)[0]!
        : reader.bytes(kind === 2 ? 2 : 4).readUIntLE(0, kind === 2 ? 2 : 4);
    copyWithin(out, at, offset, copied);
    at += copied;
  }
  if (at !== length) throw new RangeError('less data than announced');
  return out;
}
