/**
 * How the runtime should be started for a node. What a request allocates lives for one round of the log, longer than the
 * default young generation lasts under load: with 16 MiB most of it is copied, and half of it promoted, before it dies.
 */
export const NODE_FLAGS: readonly string[] = ['--max-semi-space-size=64', '--min-semi-space-size=32'];
