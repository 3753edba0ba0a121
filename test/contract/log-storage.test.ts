/** The LogStorage contract against each adapter. Segments are small, so that every suite crosses many of them. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LogStorage, openLogStorage } from '../../src/raft/index.js';
import { openInProcessLog } from '../../src/raft/log/index.js';
import { NodeLogFiles } from '../../src/raft/log/node-log-files.js';
import { realTimeClock } from '../raft/log/real-time-clock.js';

import { SimDisk } from '../sim/fakes/disk.js';
import { SimRandom } from '../sim/fakes/random.js';
import { SimLog } from '../sim/fakes/sim-log.js';
import { describeLogStorage, type LogFixture } from './log-storage.contract.js';

const SEGMENT_BYTES = 16 * 1024;
const workerUrl = new URL('../raft/log/worker-from-source.mjs', import.meta.url);

async function realFixture(open: (directory: string) => Promise<LogStorage>): Promise<LogFixture> {
  const directory = await mkdtemp(join(tmpdir(), 'quorate-log-'));
  return {
    open: () => open(directory),
    crash: (log) => log.close(),
    dispose: () => rm(directory, { recursive: true }),
  };
}

describeLogStorage('on a worker, real files', () =>
  realFixture((directory) =>
    openLogStorage({ directory, segmentBytes: SEGMENT_BYTES, zeroAheadBytes: 4096, workerUrl }),
  ),
);

describeLogStorage('in process, real files', () =>
  realFixture(async (directory) =>
    openInProcessLog({
      files: new NodeLogFiles(directory),
      segmentBytes: SEGMENT_BYTES,
      zeroAheadBytes: 0,
      salt: randomBytes(8),
      schedule: (_step, run) => setImmediate(run),
    }),
  ),
);

describeLogStorage('the simulator’s, on a disk that forgets', async () => {
  const random = new SimRandom(11);
  const disk = new SimDisk({ random });
  const clock = realTimeClock();
  return {
    open: async () => new SimLog({ disk, clock, random, segmentBytes: SEGMENT_BYTES }),
    crash: async () => disk.crash(),
    dispose: async () => {},
  };
});
