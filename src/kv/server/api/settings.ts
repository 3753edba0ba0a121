/** What is set for the whole cluster. */

export interface SettingsView {
  /** `10m`: so long a node has to be down before its replicas are made anew on others. null: they never are. */
  readonly rebuild_after: string | null;
}

/** What is to be set from now on. */
export interface SettingsRequest {
  readonly rebuildAfter_ms: number | null;
}
