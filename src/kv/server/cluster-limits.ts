/**
 * What a cluster can have at most, for those who refuse more before anything runs: flags and configuration files. The
 * controller's own numbers (`shardctrl`), written down again because a command would wait half a second for all that comes
 * with them; a test holds the two together.
 */
export const CLUSTER_SHARDS_MAX = 1024;
export const CLUSTER_REPLICAS_MAX = 7;
