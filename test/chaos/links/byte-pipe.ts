/**
 * One direction of one connection through a proxy: bytes go on as the weather of that direction allows. They are never
 * dropped inside a connection that goes on, since TCP would not do that either: a cut holds them back, a loss makes
 * them late, as its retransmission would.
 */
import type { Socket } from 'node:net';
import type { Weather } from './links.js';

/** Held back for one direction of one connection; beyond it the sender's own buffers fill, as on a real line. */
const HELD_BYTES_MAX = 256 * 1024;
/** How long TCP takes to notice that a segment was lost: its least timeout, and twice that for a second loss. */
const RETRANSMIT_MS = { least: 200, most: 600 } as const;

interface Held {
  readonly bytes: Buffer;
  readonly due_ms: number;
}

export interface PipePorts {
  readonly weather: () => Weather;
  readonly chance: () => number;
  /** The connection is to be broken. */
  readonly reset: () => void;
}

export class BytePipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #ports: PipePorts;
  readonly #held: Held[] = [];
  #heldBytes = 0;
  #last_ms = 0;
  #timer: NodeJS.Timeout | null = null;
  #full = false;

  constructor(from: Socket, to: Socket, ports: PipePorts) {
    this.#from = from;
    this.#to = to;
    this.#ports = ports;
    to.on('drain', () => {
      this.#full = false;
      this.flush();
    });
  }

  take(bytes: Buffer): void {
    const { delay_ms, jitter_ms, loss, reset } = this.#ports.weather();
    const { chance } = this.#ports;
    if (reset > 0 && chance() < reset) {
      this.#ports.reset();
      return;
    }
    const late_ms =
      loss > 0 && chance() < loss ? RETRANSMIT_MS.least + chance() * (RETRANSMIT_MS.most - RETRANSMIT_MS.least) : 0;
    const due_ms = performance.now() + delay_ms + chance() * jitter_ms + late_ms;
    // Bytes of a stream do not overtake each other.
    this.#last_ms = Math.max(this.#last_ms, due_ms);
    this.#held.push({ bytes, due_ms: this.#last_ms });
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > HELD_BYTES_MAX) this.#from.pause();
    this.flush();
  }

  /** Passes on what is due. Called again when the weather changes. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#to.destroyed) return;
    while (!this.#ports.weather().cut && !this.#full) {
      const next = this.#held[0];
      if (next === undefined) break;
      const wait_ms = next.due_ms - performance.now();
      if (wait_ms > 0.5) {
        this.#timer = setTimeout(() => this.flush(), wait_ms);
        break;
      }
      this.#held.shift();
      this.#heldBytes -= next.bytes.length;
      this.#full = !this.#to.write(next.bytes);
    }
    if (this.#heldBytes <= HELD_BYTES_MAX && this.#from.isPaused()) this.#from.resume();
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#held.length = 0;
  }
}
