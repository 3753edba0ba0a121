/** A process that opens the log in argv[2], appends one entry after the other, and prints the index of each durable one. */
import { EntryKind, index, openLogStorage, term } from '../../../src/raft/index.js';

const log = await openLogStorage({
  directory: process.argv[2]!,
  workerUrl: new URL('./worker-from-source.mjs', import.meta.url),
});
const conf = { voters: [], outgoing: [], learners: [], learnersNext: [], autoLeave: false };
const snapshot = { index: index(0), term: term(0), conf, engine: 'held' };
await log.append({ group: 1, hardState: null, snapshot, entries: [] });
for (let at = 1; ; at++) {
  const entries = [{ term: term(1), index: index(at), kind: EntryKind.Command, data: Buffer.from(`entry ${at}`) }];
  await log.append({ group: 1, hardState: null, snapshot: null, entries });
  process.stdout.write(`${at}\n`);
}
