/**
 * What the receipts of a plan prove, looked at again at any later time: pure. Each by itself (both sides had the same), all of
 * them against the plan (nothing twice, nothing left out, sums add up), against the history of epochs (each slot changed its
 * owner exactly so), and against what came later (who owns the slots now, and why).
 */
import type { GroupId } from '../raft/index.js';
import type { OwnerChange } from './map-delta.js';
import { addDigests, type PlanId, type PlanMove, type PlanState, type StoredReceipt, ZERO_DIGEST } from './plan.js';
import { type ShardMap, shardName } from './shard-map.js';
import {
  ALL_SLOTS,
  countSlots,
  eachSlot,
  equalSlots,
  formatSlots,
  includesSlots,
  intersectSlots,
  NO_SLOTS,
  SLOT_COUNT,
  type SlotRanges,
  slotsOf,
  subtractSlots,
  unionSlots,
} from './slot-ranges.js';

/** A receipt, and what the epoch of its publication changed; null: no owners. */
export interface AuditedReceipt {
  readonly receipt: StoredReceipt;
  readonly change: OwnerChange | null;
}

/** Moves of a plan that began later: its slots may have gone on. */
export interface LaterPlan {
  readonly id: PlanId;
  /** Too old, or damaged: it does not say any more which slots it moved. */
  readonly forgotten: boolean;
  readonly moves: readonly Pick<PlanMove, 'from' | 'to' | 'moved'>[];
}

export interface AuditFault {
  readonly slots: SlotRanges;
  readonly detail: string;
}

export interface AuditResult {
  readonly faults: readonly AuditFault[];
  /** What cannot be said any more, in sentences. */
  readonly unchecked: readonly string[];
  /** Slots that each source has given away and not got back: nothing of them may be left there. */
  readonly gone: ReadonlyMap<GroupId, SlotRanges>;
  /** The highest index that receipts name in the log of each shard: it must have got there. */
  readonly reached: ReadonlyMap<GroupId, number>;
}

interface Step {
  readonly number: number;
  readonly index: number;
  readonly revision: number;
  readonly clock_ms: number;
}

const FAULTS_MAX = 200;

export class ReceiptAudit {
  readonly #plan: PlanState;
  readonly #faults: AuditFault[] = [];
  /** By move of the plan. */
  readonly #sums = new Map<string, { slots: SlotRanges; keys: number; bytes: number; digest: string }>();
  readonly #freezes = new Map<GroupId, Step[]>();
  readonly #installs = new Map<GroupId, Set<number>>();
  readonly #reached = new Map<GroupId, number>();
  /** Who owns a slot after this plan; 0: it did not move it. */
  readonly #owner = new Int32Array(SLOT_COUNT);
  #epoch = 0;
  checked = 0;
  keys = 0;
  bytes = 0;

  constructor(plan: PlanState) {
    this.#plan = plan;
  }

  get faults(): readonly AuditFault[] {
    return this.#faults;
  }

  #fault(slots: SlotRanges, detail: string): void {
    if (this.#faults.length < FAULTS_MAX) this.#faults.push({ slots, detail });
  }

  /** In the order of their numbers. */
  add({ receipt, change }: AuditedReceipt): void {
    const number = ++this.checked;
    const { slots, planMove } = receipt;
    const say = (detail: string): void => this.#fault(slots, `receipt ${number} of ${planMove}: ${detail}`);
    this.keys += receipt.keys;
    this.bytes += receipt.bytes;
    judgeAlone(receipt, say);
    if (receipt.epoch <= this.#epoch) say(`its epoch ${receipt.epoch} is not after that of the receipt before it`);
    this.#epoch = Math.max(this.#epoch, receipt.epoch);
    const move = this.#plan.moves.find(({ id }) => id === planMove);
    if (move === undefined) return say(`plan ${this.#plan.id} has no such move`);
    judgeChange(move, receipt, change, say);
    this.#count(move, receipt, say);
    this.#order(number, move, receipt, say);
  }

  #count(move: PlanMove, receipt: StoredReceipt, say: (detail: string) => void): void {
    const { slots, keys, bytes, sourceDigest } = receipt;
    if (!includesSlots(move.slots, slots)) say('it has slots that are not in its move');
    const before = this.#sums.get(move.id) ?? { slots: NO_SLOTS, keys: 0, bytes: 0, digest: ZERO_DIGEST };
    const twice = intersectSlots(before.slots, slots);
    if (twice.length > 0) say(`slots ${formatSlots(twice)} have a receipt already`);
    this.#sums.set(move.id, {
      slots: unionSlots(before.slots, slots),
      keys: before.keys + keys,
      bytes: before.bytes + bytes,
      digest: addDigests(before.digest, sourceDigest),
    });
    for (const slot of eachSlot(slots)) this.#owner[slot] = move.to;
  }

  #order(number: number, { from, to }: PlanMove, receipt: StoredReceipt, say: (detail: string) => void): void {
    const { freezeIndex, installIndex, revision, freeze_clock_ms } = receipt;
    const freezes = this.#freezes.get(from) ?? [];
    freezes.push({ number, index: freezeIndex, revision, clock_ms: freeze_clock_ms });
    this.#freezes.set(from, freezes);
    const installs = this.#installs.get(to) ?? new Set();
    if (installs.has(installIndex)) say(`another one was installed at index ${installIndex} of ${shardName(to)}, too`);
    installs.add(installIndex);
    this.#installs.set(to, installs);
    this.#reached.set(from, Math.max(this.#reached.get(from) ?? 0, freezeIndex));
    this.#reached.set(to, Math.max(this.#reached.get(to) ?? 0, installIndex));
  }

  /** `map` and `later`: as they are now. No plan may be under way. */
  finish(map: ShardMap, later: readonly LaterPlan[]): AuditResult {
    if (this.checked !== this.#plan.receipts)
      this.#fault(NO_SLOTS, `${this.#plan.receipts} receipts were written, ${this.checked} are there`);
    for (const move of this.#plan.moves) this.#judgeMove(move);
    for (const [source, steps] of this.#freezes) this.#judgeSteps(source, steps);
    this.#judgeMap(map);
    const moved = this.#movedSlots();
    const unchecked = this.#followSlots(map, later);
    return { faults: this.#faults, unchecked, gone: this.#gone(map, moved), reached: this.#reached };
  }

  #movedSlots(): ReadonlyMap<GroupId, SlotRanges> {
    const moved = new Map<GroupId, SlotRanges>();
    for (const { id, from } of this.#plan.moves) {
      const slots = this.#sums.get(id)?.slots ?? NO_SLOTS;
      if (slots.length > 0) moved.set(from, unionSlots(moved.get(from) ?? NO_SLOTS, slots));
    }
    return moved;
  }

  #judgeMove(move: PlanMove): void {
    const { slots, keys, bytes, digest } = this.#sums.get(move.id) ?? EMPTY;
    const say = (detail: string): void => this.#fault(move.slots, `move ${move.id}: ${detail}`);
    if (!equalSlots(slots, move.moved)) {
      const odd = unionSlots(subtractSlots(slots, move.moved), subtractSlots(move.moved, slots));
      say(`receipts and move do not name the same slots: ${formatSlots(odd)}`);
    }
    if (keys !== move.keys || bytes !== move.bytes)
      say(`receipts add up to ${keys} keys, ${bytes} bytes, the move says ${move.keys} and ${move.bytes}`);
    if (digest !== move.digest) say(`receipts add up to digest ${digest}, the move says ${move.digest}`);
    const unfounded = unionSlots(subtractSlots(move.forward, slots), intersectSlots(move.undone, slots));
    if (unfounded.length > 0)
      say(`what it says of how its batches ended is not so for slots ${formatSlots(unfounded)}`);
  }

  /** A log goes on, and with it the revision and the clock that a freeze finds. */
  #judgeSteps(source: GroupId, steps: Step[]): void {
    steps.sort((a, b) => a.index - b.index);
    for (let i = 1; i < steps.length; i++) {
      const [before, now] = [steps[i - 1]!, steps[i]!];
      const which = `receipts ${before.number} and ${now.number}: in the log of ${shardName(source)}`;
      if (before.index === now.index) this.#fault(NO_SLOTS, `${which} both were frozen at index ${now.index}`);
      else if (now.revision < before.revision || now.clock_ms < before.clock_ms)
        this.#fault(NO_SLOTS, `${which} revision or clock went back between ${before.index} and ${now.index}`);
    }
  }

  #judgeMap(map: ShardMap): void {
    let owned: SlotRanges = NO_SLOTS;
    for (const { id, slots } of map.shards) {
      const twice = intersectSlots(owned, slots);
      if (twice.length > 0) this.#fault(twice, `${shardName(id)} and another shard own them in epoch ${map.epoch}`);
      owned = unionSlots(owned, slots);
    }
    const lost = subtractSlots(ALL_SLOTS, owned);
    if (countSlots(lost) > 0) this.#fault(lost, `nobody owns them in epoch ${map.epoch}`);
  }

  /** From shard to shard through the plans that came later, to who owns them now. */
  #followSlots(map: ShardMap, later: readonly LaterPlan[]): readonly string[] {
    const forgotten = later.filter((plan) => plan.forgotten).map(({ id }) => id);
    if (forgotten.length > 0) {
      return [`who owns the slots now, and why: what ${forgotten.join(', ')} moved later is no longer kept`];
    }
    for (const { id, moves } of later) {
      for (const { from, to, moved } of moves) {
        const odd: number[] = [];
        for (const slot of eachSlot(moved)) {
          if (this.#owner[slot] === 0) continue;
          if (this.#owner[slot] !== from) odd.push(slot);
          this.#owner[slot] = to;
        }
        if (odd.length > 0)
          this.#fault(slotsOf(odd), `${id} took them from ${shardName(from)}, which did not have them`);
      }
    }
    for (const { id, slots } of map.shards) {
      const odd = [...eachSlot(slots)].filter((slot) => this.#owner[slot] !== 0 && this.#owner[slot] !== id);
      if (odd.length > 0)
        this.#fault(slotsOf(odd), `${shardName(id)} owns them, though no plan has brought them there`);
    }
    return [];
  }

  /** Of sources that are there still. */
  #gone(map: ShardMap, moved: ReadonlyMap<GroupId, SlotRanges>): ReadonlyMap<GroupId, SlotRanges> {
    const gone = new Map<GroupId, SlotRanges>();
    for (const [source, slots] of moved) {
      const shard = map.shards.find(({ id }) => id === source);
      if (shard !== undefined) gone.set(source, subtractSlots(slots, shard.slots));
    }
    return gone;
  }
}

const EMPTY = { slots: NO_SLOTS, keys: 0, bytes: 0, digest: ZERO_DIGEST };

/** What one receipt says, whatever the others say. */
function judgeAlone(receipt: StoredReceipt, say: (detail: string) => void): void {
  const { sourceDigest, destinationDigest, freezeIndex, installIndex, slots } = receipt;
  if (sourceDigest !== destinationDigest)
    say(`the source had digest ${sourceDigest}, the destination ${destinationDigest}`);
  if (freezeIndex < 1 || installIndex < 1) say(`frozen at index ${freezeIndex}, installed at ${installIndex}`);
  if (slots.length === 0) say('it has no slots');
  const records = receipt.keys + receipt.idempotencyRecords;
  const nothing = records === 0;
  if (nothing !== (receipt.bytes === 0) || nothing !== (sourceDigest === ZERO_DIGEST))
    say(`${records} records of ${receipt.bytes} bytes with digest ${sourceDigest} cannot be`);
}

function judgeChange(
  { from, to }: PlanMove,
  { epoch, slots }: StoredReceipt,
  change: OwnerChange | null,
  say: (detail: string) => void,
): void {
  const way = `${shardName(from)} to ${shardName(to)}`;
  if (change === null) return say(`epoch ${epoch} gave no slots from ${way}`);
  if (change.from !== from || change.to !== to || !equalSlots(change.slots, slots))
    say(
      `epoch ${epoch} gave slots ${formatSlots(change.slots)} from ${shardName(change.from)} to ${shardName(change.to)}`,
    );
}
