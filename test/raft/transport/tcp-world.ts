/** Real transports on loopback, for the contract suite and the tests of this room. */
import {
  openTcpTransport,
  type TcpTransport,
  type TransportEvent,
  type TransportLimits,
} from '../../../src/raft/transport/index.js';
import type { TransportIdentity, TransportWorld } from '../../contract/transport.contract.js';
import { systemClock, systemRandom } from './system-clock.js';

export const POLL_ms = 2;
const PATIENCE_ms = 20_000;

export async function until(condition: () => boolean, what = 'condition'): Promise<void> {
  const deadline = Date.now() + PATIENCE_ms;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not reached in ${PATIENCE_ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_ms));
  }
}

export class TcpWorld implements TransportWorld {
  readonly opened: TcpTransport[] = [];
  readonly events: TransportEvent[] = [];
  readonly #limits: Partial<TransportLimits>;
  readonly #ports = new Map<string, number>();

  constructor(limits: Partial<TransportLimits> = {}) {
    this.#limits = limits;
  }

  /** A node that was open before comes back on its old port. */
  async open(identity: TransportIdentity, over: Partial<TransportLimits> = {}): Promise<TcpTransport> {
    const { self, incarnation, clusterId, onClusterId, admit } = identity;
    const transport = await openTcpTransport({
      self,
      incarnation,
      clusterId,
      ...(onClusterId === undefined ? {} : { onClusterId }),
      ...(admit === undefined ? {} : { admit }),
      listen: { host: '127.0.0.1', port: this.#ports.get(self) ?? 0 },
      clock: systemClock,
      random: systemRandom,
      limits: { ...this.#limits, ...over },
      onEvent: (event) => this.events.push(event),
    });
    this.#ports.set(self, transport.address.port);
    this.opened.push(transport);
    return transport;
  }

  address(node: string): string {
    const port = this.#ports.get(node);
    if (port === undefined) throw new Error(`${node} was never open`);
    return `127.0.0.1:${port}`;
  }

  until(condition: () => boolean): Promise<void> {
    return until(condition);
  }

  async close(): Promise<void> {
    await Promise.all(this.opened.map((transport) => transport.close()));
  }
}
