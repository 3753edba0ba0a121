/** A process that listens as the node `n2` and prints its port: something to kill. */
import { openTcpTransport } from '../../../src/raft/transport/index.js';
import { systemClock, systemRandom } from './system-clock.js';

const transport = await openTcpTransport({
  self: 'n2',
  listen: { host: '127.0.0.1', port: 0 },
  incarnation: 'child',
  clusterId: () => 'c1',
  clock: systemClock,
  random: systemRandom,
});
console.log(transport.address.port);
