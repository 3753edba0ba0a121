/** The door of the room: a running node, and its parts for who drives it over ports of their own. */
export * from './api.js';
export { ClusterNode, type NodeHooks, type NodePorts, type NodeSetup } from './cluster-node.js';
export * from './config.js';
export { type RunningNode, startNode } from './start-node.js';
