/** What slots, keys and shards carry, and what is to be done where some shard carries too much. */
import type { PlanView } from './plans.js';

/**
 * `watching`: some shard is overloaded, but not for long enough yet. `stuck`: one is, and no move helps. `unknown`: some shard has not
 * said what it carries.
 */
export type BalanceState = 'balanced' | 'watching' | 'unbalanced' | 'stuck' | 'unknown';

export interface BalanceLine {
  /** The controller carries out what it proposes. */
  readonly auto: boolean;
  readonly state: BalanceState;
  /** One sentence. */
  readonly detail: string;
}

export interface BalanceSettingsView {
  readonly auto: boolean;
  /** A shard is overloaded when it carries so much more than its fair share. */
  readonly limit_percent: number;
  /** It counts once it has been so for as long. */
  readonly hold_s: number;
}

/** What is left out stays as it is. */
export type BalanceSettingsRequest = Partial<BalanceSettingsView>;

export interface BalanceView extends BalanceLine, BalanceSettingsView {
  /** null: no shard is. */
  readonly overloaded_s: number | null;
  /** Shares are fractions; of all shards that own slots. Empty where some have not said what they carry. */
  readonly shards: readonly {
    readonly id: string;
    readonly requests_per_s: number;
    readonly load_share: number;
    readonly bytes: number;
    readonly bytes_share: number;
    readonly fair_share: number;
  }[];
  readonly silent_shards: readonly string[];
  /** What would be done about it now, as by a dry run. */
  readonly plan: PlanView;
}

/** Requests a second, decayed. */
export interface SlotLoadView {
  readonly slot: number;
  readonly shard: string;
  readonly reads_per_s: number;
  readonly writes_per_s: number;
  /** Of all requests of the cluster, from 0 to 1. */
  readonly share: number;
}

export interface HotKey {
  readonly key: Buffer;
  readonly slot: number;
  readonly shard: string;
  readonly requests_per_s: number;
  /** Most likely it is within so much of the truth. */
  readonly error_per_s: number;
}

export interface HotReport {
  /** In how many seconds a request comes to count for half. */
  readonly half_life_s: number;
  readonly shards: readonly {
    readonly id: string;
    readonly reads_per_s: number;
    readonly writes_per_s: number;
    readonly share: number;
  }[];
  /** The hottest first. */
  readonly slots: readonly SlotLoadView[];
  readonly keys: readonly HotKey[];
  /** Shards whose leader did not say what it has carried out. */
  readonly silent_shards: readonly string[];
  readonly silent_nodes: readonly string[];
}

/** `HotReport` as JSON shows it. */
export interface HotView extends Omit<HotReport, 'keys'> {
  readonly keys: readonly (Omit<HotKey, 'key'> & {
    readonly key: string;
    readonly key_encoding: 'utf8' | 'base64';
  })[];
}
