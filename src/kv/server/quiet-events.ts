/**
 * What the transport reports again and again (a refused peer dials every second, for days) is let through once a minute.
 */
import type { TransportEvent } from '../../raft/index.js';

const AGAIN_MS = 60_000;
/** Reasons may hold what a peer sent: however many differ, memory stays bounded. */
const REMEMBERED_MAX = 1_000;

/** The ports of a peer's connections differ each time; what matters is who, and why. */
export class QuietEvents {
  readonly #now_ms: () => number;
  readonly #said_ms = new Map<string, number>();

  constructor(now_ms: () => number) {
    this.#now_ms = now_ms;
  }

  /** True: this is new, or it was last let through more than a minute ago. */
  passes({ name, node, reason }: TransportEvent): boolean {
    const what = `${name} ${node} ${reason}`;
    const now = this.#now_ms();
    const said_ms = this.#said_ms.get(what);
    if (said_ms !== undefined && now - said_ms < AGAIN_MS) return false;
    this.#said_ms.delete(what);
    if (this.#said_ms.size >= REMEMBERED_MAX) this.#said_ms.delete(this.#said_ms.keys().next().value ?? '');
    this.#said_ms.set(what, now);
    return true;
  }
}
