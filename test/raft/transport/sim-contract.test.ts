import type { Transport } from '../../../src/raft/index.js';
import { type TransportIdentity, type TransportWorld, transportContract } from '../../contract/transport.contract.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';
import { SimNetwork } from '../../sim/fakes/network.js';
import { SimRandom } from '../../sim/fakes/random.js';

class SimWorld implements TransportWorld {
  readonly #scheduler = new SimScheduler();
  readonly #network = new SimNetwork(this.#scheduler, new SimRandom(7));
  readonly #opened: Transport[] = [];

  async open(identity: TransportIdentity): Promise<Transport> {
    const clock = new SimClock(this.#scheduler);
    const transport = this.#network.open({ ...identity, address: this.address(identity.self), clock });
    this.#opened.push(transport);
    return transport;
  }

  address(node: string): string {
    return `sim:${node}`;
  }

  async until(condition: () => boolean): Promise<void> {
    const reached = await this.#scheduler.runWhile(() => !condition(), this.#scheduler.now_ms + 60_000);
    if (!reached) throw new Error('not reached in a minute of simulated time');
  }

  async close(): Promise<void> {
    for (const transport of this.#opened) await transport.close();
  }
}

transportContract('simulated network', async () => new SimWorld());
