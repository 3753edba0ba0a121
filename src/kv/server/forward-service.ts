/**
 * The other end of forwarding: carries out, on this node's replica, what another node's router passes on. It never passes
 * on further: it answers with what it knows of the leader, and the asker decides.
 */
import type { Replica, ReplicaHost } from '../../raft/index.js';
import { slotOfKey } from '../../shardctrl/index.js';
import {
  encodeLookup,
  encodeResult,
  type KvResult,
  type KvStateMachine,
  stampCommand,
  writeTarget,
} from '../store/index.js';
import {
  decodeGetRequest,
  decodeWriteRequest,
  encodeRefusal,
  encodeResultReply,
  type GetForward,
  REFUSALS,
  type Refusal,
  UNKNOWN_REPLY,
} from './forward-codec.js';
import type { RequestCounter } from './load-meter.js';
import { onStateNow } from './on-state.js';
import { Method, type Reply, type Rpc } from './rpc.js';
import { refusalOf } from './slot-refusal.js';
import type { StampClock } from './stamp-clock.js';

export interface ForwardServiceOptions {
  readonly host: ReplicaHost;
  readonly rpc: Rpc;
  /** Told of what replicas here carry out. */
  readonly load: RequestCounter;
  readonly stampOf: (shard: number) => StampClock;
}

export class ForwardService {
  readonly #options: ForwardServiceOptions;
  /** How many requests other nodes have passed on. */
  taken = 0;

  constructor(options: ForwardServiceOptions) {
    this.#options = options;
    options.rpc.handle(Method.Write, (_from, body, reply) => this.#write(body, reply));
    options.rpc.handle(Method.Get, (_from, body, reply) => this.#get(body, reply));
  }

  #write(body: Buffer, reply: Reply): void {
    const request = decodeWriteRequest(body);
    if (request === null) return;
    this.taken++;
    const replica = this.#options.host.get(request.shard);
    if (replica === undefined || replica.damage !== null) return reply(encodeRefusal('not_here', null));
    if (!replica.isLeader) return reply(encodeRefusal('not_leader', replica.leaderNode));
    const machine = replica.machine as KvStateMachine;
    const moved = replica.leads ? refusalOf(machine, request.slot) : null;
    if (moved !== null) return reply(encodeResultReply(machine.clock_ms, encodeResult(moved)));
    // The frame's buffer is shared with other frames; an entry lives on in the log.
    const command = Buffer.from(request.command);
    const stamps = this.#options.stampOf(request.shard);
    if (stamps.holds(command, machine.clock_ms)) return reply(encodeRefusal('clock_unsure', null));
    stampCommand(command, stamps.next(machine.clock_ms));
    this.#countWrite(request.slot, command);
    replica.propose(command, {
      applied: (result) => reply(encodeResultReply(machine.clock_ms, encodeResult(result as KvResult))),
      refused: (reason) => reply(encodeRefusal(toRefusal(reason), replica.leaderNode)),
      unknown: () => reply(UNKNOWN_REPLY),
    });
  }

  #get(body: Buffer, reply: Reply): void {
    const request = decodeGetRequest(body);
    if (request === null) return;
    this.taken++;
    const replica = this.#options.host.get(request.shard);
    if (replica === undefined || replica.damage !== null) return reply(encodeRefusal('not_here', null));
    const { maxStaleness_ms } = request;
    if (maxStaleness_ms !== null) {
      if (replica.staleness_ms() <= maxStaleness_ms) {
        const found = onStateNow(replica, () => this.#lookUp(replica, request));
        return reply(found ?? encodeRefusal('not_here', null));
      }
      // A leader that no quorum has confirmed so lately asks it.
      if (!replica.isLeader) return reply(encodeRefusal('too_old', replica.leaderNode));
    }
    if (replica.leaderNode === null) return reply(encodeRefusal('not_leader', null));
    replica.read({
      ready: () => reply(this.#lookUp(replica, request)),
      refused: () => reply(encodeRefusal('not_leader', null)),
    });
  }

  #lookUp(replica: Replica, { key }: GetForward): Buffer {
    const { load } = this.#options;
    const machine = replica.machine as KvStateMachine;
    const result = machine.lookup(key);
    if (result.kind !== 'not_serving' && load.read(slotOfKey(key))) load.note(key);
    return encodeResultReply(machine.clock_ms, encodeLookup(result));
  }

  #countWrite(slot: number, command: Buffer): void {
    const { load } = this.#options;
    if (!load.wrote(slot)) return;
    const target = writeTarget(command);
    if (target !== null) load.note(target.key);
  }
}

const toRefusal = (reason: string): Refusal => REFUSALS.find((known) => known === reason) ?? 'not_leader';
