/** When shards count as unbalanced, and whether anything is done about it by itself. Kept in the controller's log. */
export interface BalanceSettings {
  /** The controller's leader carries its proposals out. */
  readonly auto: boolean;
  /** A shard is overloaded when it carries so much more than its fair share. */
  readonly limit_percent: number;
  /** It counts only once it has been so for as long. */
  readonly hold_s: number;
}

export const BALANCE_DEFAULTS: BalanceSettings = { auto: false, limit_percent: 30, hold_s: 120 };

/** Closer than that the shards would be moved about for what chance brings. */
export const LIMIT_PERCENT_MIN = 10;
export const LIMIT_PERCENT_MAX = 1_000;
export const HOLD_S_MAX = 86_400;

/** The controller starts no plan by itself sooner after it, or an operator, has last balanced. */
export const AUTO_PAUSE_MS = 600_000;
