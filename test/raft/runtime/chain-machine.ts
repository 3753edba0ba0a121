/**
 * The simplest state machine that notices everything: registers, and a checksum over all commands in their order. Two
 * replicas with the same chain have applied the same commands, each once, in the same order.
 */
import { crc32c } from '@node-rs/crc32';
import type { Entry, StateEngine, StateMachine, StateRows } from '../../../src/raft/index.js';

const CHAIN = Buffer.from([1]);
const REGISTER = 2;

export interface Applied {
  readonly index: number;
  readonly chain: number;
}

export const registerKey = (name: string): Buffer => Buffer.concat([Buffer.of(REGISTER), Buffer.from(name)]);

/** `name=value` sets a register. Any other text only goes into the chain. */
export const chainOf = (commands: readonly string[]): number =>
  commands.reduce((chain, command) => crc32c(Buffer.from(command), chain), 0);

export interface ChainMachineOptions {
  /** Called before each command; what it throws, `apply` throws. */
  readonly beforeApply?: (text: string) => void;
  readonly beforeOpen?: (engine: StateEngine) => void | Promise<void>;
  /** What of a register's value is not as it was written. */
  readonly registerFault?: (value: Buffer) => string | null;
}

export class ChainMachine implements StateMachine {
  readonly #options: ChainMachineOptions;
  #rows: StateRows | null = null;
  chain = 0;
  count = 0;
  /** The chain after each command that this instance has applied, by index. */
  readonly chains = new Map<number, number>();
  /** Of the last command that was applied, by this instance or an earlier one. */
  index = 0;

  constructor(options: ChainMachineOptions = {}) {
    this.#options = options;
  }

  async open(engine: StateEngine, rows: StateRows): Promise<void> {
    await this.#options.beforeOpen?.(engine);
    this.#rows = rows;
    const row = engine.get(CHAIN);
    if (row === undefined) return;
    this.chain = row.readUInt32LE(0);
    this.count = row.readUInt32LE(4);
    this.index = row.readUInt32LE(8);
  }

  apply(entry: Entry): Applied {
    const text = Buffer.from(entry.data).toString();
    const equals = text.indexOf('=');
    if (equals > 0) this.#rows!.put(registerKey(text.slice(0, equals)), Buffer.from(text.slice(equals + 1)));
    this.#options.beforeApply?.(text);
    this.chain = crc32c(Buffer.from(text), this.chain);
    this.count++;
    this.index = entry.index;
    this.chains.set(entry.index, this.chain);
    return { index: entry.index, chain: this.chain };
  }

  endRound(): void {
    const row = Buffer.alloc(12);
    row.writeUInt32LE(this.chain, 0);
    row.writeUInt32LE(this.count, 4);
    row.writeUInt32LE(this.index, 8);
    this.#rows!.put(CHAIN, row);
  }

  register(name: string): string | null {
    return this.#rows!.get(registerKey(name))?.toString() ?? null;
  }

  rowFault(key: Buffer, value: Buffer): string | null {
    return key[0] === REGISTER ? (this.#options.registerFault?.(value) ?? null) : null;
  }

  stateHash(): string {
    return `${this.count}/${this.chain}`;
  }
}
