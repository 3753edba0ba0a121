/** The shard map, and where a key lives by it. */

export interface MapView {
  readonly cluster_id: string;
  readonly epoch: number;
  readonly shards: readonly {
    readonly id: string;
    readonly slots: string;
    readonly members: readonly string[];
    readonly weight?: number;
    /** Nodes that get no replica of it by themselves; left out where there are none. */
    readonly avoids?: readonly string[];
  }[];
  readonly nodes: readonly {
    readonly id: string;
    readonly http: string;
    readonly peer: string;
    readonly labels: Readonly<Record<string, string>>;
  }[];
}

export interface LocateView {
  readonly slot: number;
  readonly shard: string;
  readonly leader: string | null;
  readonly members: readonly string[];
  readonly epoch: number;
}
