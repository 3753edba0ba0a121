/** What operators set for the whole cluster: kept in the controller's state, in force on whichever node leads it. */
import { BALANCE_DEFAULTS, type BalanceSettings } from './balance-settings.js';

export interface ClusterSettings {
  /** How long a node has to be down before its replicas are made anew elsewhere; null: they never are. */
  readonly rebuildAfter_ms: number | null;
  readonly balance: BalanceSettings;
}

/** Nothing is copied about unless somebody has allowed it: who is away mostly comes back with all it had. */
export const SETTINGS_DEFAULT: ClusterSettings = { rebuildAfter_ms: null, balance: BALANCE_DEFAULTS };

/** Settings as they were written by a version that knew fewer, or never. */
export const completedSettings = (settings: Partial<ClusterSettings> | undefined): ClusterSettings => ({
  ...SETTINGS_DEFAULT,
  ...settings,
});

/** Shorter ones would be about pauses of a process, not about nodes that are gone. */
export const REBUILD_AFTER_MIN_MS = 1_000;
