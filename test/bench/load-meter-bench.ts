/**
 * What counting a request costs, by hand: `node --import tsx test/bench/load-meter-bench.ts`. Slots and keys are drawn
 * beforehand; `nothing` is the loop alone. In CPU time, so that what else the machine does counts for little.
 */
import { LoadMeter } from '../../src/kv/server/load-meter.js';
import { systemClock, systemRandom } from '../../src/kv/server/system-ports.js';
import { slotOfKey } from '../../src/shardctrl/index.js';

const KEYS = 100_000;
const ROUNDS = 100;

const keys = Array.from({ length: KEYS }, (_, i) => Buffer.from(`user/key/${String(i * 7919).padStart(10, '0')}`));
const slots = Uint16Array.from(keys, slotOfKey);
const meter = new LoadMeter(systemClock, systemRandom);
let sum = 0;

function measure(title: string, one: (i: number) => void): void {
  for (let i = 0; i < KEYS; i++) one(i);
  const begun = process.cpuUsage();
  for (let round = 0; round < ROUNDS; round++) for (let i = 0; i < KEYS; i++) one(i);
  const { user, system } = process.cpuUsage(begun);
  const each_ns = ((user + system) * 1e3) / (ROUNDS * KEYS);
  console.log(`${title.padEnd(40)} ${each_ns.toFixed(1).padStart(8)} ns each`);
}

measure('nothing', (i) => {
  sum += slots[i]!;
});
measure('a read, without its key', (i) => {
  if (meter.read(slots[i]!)) sum++;
});
measure('a read, one key in sixteen', (i) => {
  if (meter.read(slots[i]!)) meter.note(keys[i]!);
});
measure('every key', (i) => meter.note(keys[i]!));
measure('slotOfKey', (i) => {
  sum += slotOfKey(keys[i]!);
});

const begin_ms = performance.now();
const told = meter.slots().length + meter.keys().keys.length;
console.log(`a report of ${told} slots and keys: ${(performance.now() - begin_ms).toFixed(2)} ms`);
meter.close();
if (sum === 0) throw new Error('nothing was counted');
