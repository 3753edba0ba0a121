/** By hand: `node --import tsx test/bench/transport-bench.ts`. Cost of the codec and of the transport over loopback. */
import { type Entry, index, type Message, MessageType, term } from '../../src/raft/core/index.js';
import { decodeMessages, encodeMessages } from '../../src/raft/transport/index.js';

function append(entries: number, bytes: number): Message {
  const list: Entry[] = [];
  for (let i = 0; i < entries; i++) {
    list.push({ term: term(7), index: index(1000 + i), kind: 0, data: Buffer.alloc(bytes, i) });
  }
  return {
    type: MessageType.Append,
    from: 1,
    to: 2,
    term: term(7),
    index: index(999),
    logTerm: term(7),
    commit: index(990),
    entries: list,
    reject: false,
    hint: index(0),
    context: 0,
    snapshot: null,
  };
}

function codec(): void {
  const batch = [{ group: 3, message: append(64, 150) }];
  let seen = 0;
  const round = (): void => {
    for (const frame of encodeMessages(batch)) decodeMessages(frame as Buffer, (_g, m) => (seen += m.entries.length));
  };
  for (let i = 0; i < 20_000; i++) round();
  const rounds = 50_000;
  const from = process.hrtime.bigint();
  for (let i = 0; i < rounds; i++) round();
  const us = Number(process.hrtime.bigint() - from) / 1000 / rounds;
  console.log(`codec: 64 entries of 150 B, encode + decode: ${us.toFixed(1)} µs (${seen} entries)`);
}

codec();
