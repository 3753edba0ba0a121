/** The balance of shards in words and in the JSON shapes of the API. */
import { type Assessment, countSlots, isHeld, type Resource, type Standing, shardName } from '../../shardctrl/index.js';
import type { BalanceLine, BalanceState, BalanceView } from './api.js';

const percent = (share: number): string => `${Math.round(share * 100)} %`;
const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`;
const names = (shards: readonly number[]): string => shards.map(shardName).join(', ');
const RESOURCES: Readonly<Record<Resource, string>> = { load: 'the load', bytes: 'the bytes' };

function stateOf(standing: Standing): BalanceState {
  const { assessment } = standing;
  if (assessment === null) return 'unknown';
  if (assessment.worst === null) return 'balanced';
  if (!isHeld(standing)) return 'watching';
  return assessment.moves.length === 0 ? 'stuck' : 'unbalanced';
}

/** One sentence for a person. */
export function balanceSentence(standing: Standing): string {
  const { settings, assessment, silent } = standing;
  if (assessment === null)
    return `${names(silent)} did not say what ${silent.length === 1 ? 'it carries' : 'they carry'}`;
  const { worst } = assessment;
  if (worst === null) return `no shard carries ${settings.limit_percent} % more than its fair share`;
  const carries = `${shardName(worst.shard)} carries ${percent(worst.share)} of ${RESOURCES[worst.resource]} (fair: ${percent(worst.fairShare)})`;
  return `${carries}${sinceWhen(standing)}: ${remedy(assessment)}`;
}

function sinceWhen(standing: Standing): string {
  const { settings, overloaded_ms } = standing;
  if (isHeld(standing)) return '';
  if (overloaded_ms === null) return ' while slots are on the move';
  return ` for ${Math.round(overloaded_ms / 1_000)} s, which counts from ${settings.hold_s} s on`;
}

function remedy({ moves, hot, rest }: Assessment): string {
  const moved = moves.reduce((sum, move) => sum + countSlots(move.slots), 0);
  const parts: string[] = [];
  if (moved > 0) {
    const left = rest === null ? '' : ` and leave ${shardName(rest.shard)} with ${percent(rest.share)}`;
    parts.push(`'quorate balance' would move ${plural(moved, 'slot')}${left}`);
  }
  const hottest = hot[0];
  if (hottest !== undefined) {
    const { slot, share, resource } = hottest;
    parts.push(
      `slot ${slot} alone is ${percent(share)} of ${RESOURCES[resource]}, against which no move helps: spread its keys over other hash tags`,
    );
  } else if (moved === 0) parts.push('no other shard has room for any of its slots');
  return parts.join('; ');
}

export function balanceLine(standing: Standing): BalanceLine {
  return { auto: standing.settings.auto, state: stateOf(standing), detail: balanceSentence(standing) };
}

export function balanceView(standing: Standing, plan: BalanceView['plan']): BalanceView {
  const { settings, assessment, silent, overloaded_ms } = standing;
  return {
    ...balanceLine(standing),
    limit_percent: settings.limit_percent,
    hold_s: settings.hold_s,
    overloaded_s: overloaded_ms === null ? null : Math.round(overloaded_ms / 1_000),
    shards: (assessment?.shards ?? []).map(({ id, load, loadShare, bytes, bytesShare, fairShare }) => ({
      id: shardName(id),
      requests_per_s: roundedRate(load),
      load_share: roundedShare(loadShare),
      bytes,
      bytes_share: roundedShare(bytesShare),
      fair_share: roundedShare(fairShare),
    })),
    silent_shards: silent.map(shardName),
    plan,
  };
}

/** More digits would say more than is known. */
export const roundedRate = (rate: number): number => Math.round(rate * 100) / 100;
export const roundedShare = (share: number): number => Math.round(share * 10_000) / 10_000;
