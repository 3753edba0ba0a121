/** Commands on the balance of shards: a plan that moves what overloaded shards should not carry, and when there is to be one. */
import type { NodeId } from '../raft/index.js';
import { AUTO_PAUSE_MS } from './balance-settings.js';
import type { CommandOf, ControllerResult } from './commands.js';
import type { ControllerState } from './controller-state.js';
import { startPlan } from './plan-commands.js';
import { type Drafted, draftOfMoves } from './plan-draft.js';
import type { SlotMove } from './planner.js';
import { type ShardMap, shardName } from './shard-map.js';
import type { SlotFigures } from './slot-figures.js';
import { includesSlots, NO_SLOTS, subtractSlots } from './slot-ranges.js';

export function applyBalance(
  state: ControllerState,
  command: CommandOf<'balance'>,
  stamp_ms: number,
): ControllerResult {
  const { moves, auto, cause, downNodes } = command;
  const unasked = auto ? whyNotByItself(state, stamp_ms) : null;
  if (unasked !== null) return { kind: 'nothing', detail: unasked };
  const result = startPlan(state, 'balance', (map) => draftBalance(map, moves, downNodes), command, stamp_ms);
  const plan = result.kind === 'plan_started' ? state.plan(result.plan) : null;
  if (plan !== null) state.putPlan({ ...plan, cause });
  return result;
}

/** The leader that proposed it had looked, but others may have said something since. */
function whyNotByItself(state: ControllerState, stamp_ms: number): string | null {
  if (!state.settings.balance.auto) return 'nothing is balanced without being asked for';
  if (state.changes.size > 0) return 'members are being changed';
  if ((state.map?.draining.length ?? 0) > 0) return 'a node is being drained';
  const last_ms = state.lastPlan_ms('balance');
  const soon = last_ms !== null && stamp_ms < last_ms + AUTO_PAUSE_MS;
  return soon ? `less than ${AUTO_PAUSE_MS / 60_000} minutes ago something was balanced already` : null;
}

/** The moves as they stand: whether they make sense has been judged by whoever knows the load. */
export function draftBalance(
  map: ShardMap,
  moves: readonly SlotMove[],
  down: readonly NodeId[],
  figures: SlotFigures | null = null,
): Drafted {
  const left = new Map(map.shards.map(({ id, slots }) => [id, slots]));
  for (const { from, to, slots } of moves) {
    const owned = left.get(from) ?? NO_SLOTS;
    if (!left.has(to)) return { ok: false, missing: `there is no shard ${shardName(to)} any more: look again` };
    if (from === to || slots.length === 0 || !includesSlots(owned, slots)) {
      return { ok: false, missing: `${shardName(from)} does not own these slots any more: look again` };
    }
    left.set(from, subtractSlots(owned, slots));
  }
  return { ok: true, draft: draftOfMoves(map, moves, down, figures) };
}

export function applyBalanceSettings(state: ControllerState, command: CommandOf<'balance_settings'>): ControllerResult {
  const before = state.settings.balance;
  const balance = {
    auto: command.auto ?? before.auto,
    limit_percent: command.limit_percent ?? before.limit_percent,
    hold_s: command.hold_s ?? before.hold_s,
  };
  state.putSettings({ ...state.settings, balance });
  return { kind: 'balance_settings', settings: balance };
}
