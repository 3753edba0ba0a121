/**
 * Which nodes host a new shard: a pure function. Replicas of one shard keep away from each other (first by
 * `labels.host`, then by `labels.zone`), replicas of all shards spread evenly, and so do first members, who campaign first
 * and so lead. Nodes that are down come last, whatever speaks for them: they carry little just because they are down.
 */
import type { GroupId, NodeId } from '../raft/index.js';
import type { NodeEntry, ShardEntry, ShardMember } from './shard-map.js';

export const REPLICAS_MIN = 2;
export const REPLICAS_DEFAULT = 3;
/** A group of more voters waits for more disks and gains nothing. */
export const REPLICAS_MAX = 7;

export interface PlacedShard {
  readonly id: GroupId;
  readonly members: readonly ShardMember[];
  /** How many members there should be as soon as there are nodes for them. Default: as many as there are. */
  readonly replicas?: number;
  /** Nodes that it is to keep away from later, too. */
  readonly avoids?: readonly NodeId[];
}

/** Three members of the controller, five from five nodes on. */
export const controllerSize = (nodes: number): number => (nodes >= 5 ? 5 : Math.min(REPLICAS_DEFAULT, nodes));

/** Of a new cluster; by name, so that every node comes to the same list. */
export function controllerMembers(nodes: Iterable<NodeId>): readonly ShardMember[] {
  const sorted = [...nodes].sort();
  return sorted.slice(0, controllerSize(sorted.length)).map((node, i) => ({ node, replica: i + 1 }));
}

export type Placement =
  | { readonly ok: true; readonly shards: readonly PlacedShard[]; readonly warnings: readonly string[] }
  /** What is missing, in words for whoever asked. */
  | { readonly ok: false; readonly missing: string };

export interface PlacementRequest {
  readonly nodes: readonly NodeEntry[];
  /** Shards that stay: their replicas count as load. */
  readonly existing: readonly Pick<ShardEntry, 'members'>[];
  readonly newShards: readonly GroupId[];
  /** null: three, or as many as there are nodes. */
  readonly replicas: number | null;
  /** How many there should be once there are nodes for them. Default: `replicas`, or three. */
  readonly wished?: number;
  /** As far as whoever asks knows. Without a majority on others no shard is made. Default: none. */
  readonly down?: readonly NodeId[];
}

export function placeShards(request: PlacementRequest): Placement {
  const { nodes } = request;
  const replicas = request.replicas ?? Math.min(REPLICAS_DEFAULT, nodes.length);
  const down = nodes.filter(({ id }) => request.down?.includes(id) === true).map(({ id }) => id);
  const missing = whatIsMissing(replicas, nodes.length) ?? whoIsMissing(request, replicas, down);
  if (missing !== null) return { ok: false, missing };
  const load = new Map<NodeId, number>(nodes.map((node) => [node.id, 0]));
  const firsts = new Map<NodeId, number>(nodes.map((node) => [node.id, 0]));
  for (const { members } of request.existing) {
    for (const member of members) add(load, member.node, 1);
    if (members[0] !== undefined) add(firsts, members[0].node, 1);
  }
  const chosen = request.newShards.map((id) => {
    const hosts = chooseNodes(nodes, replicas, load, down);
    for (const node of hosts) add(load, node.id, 1);
    return { id, hosts };
  });
  const leading = spreadFirsts(
    chosen.map((shard) => shard.hosts.map((node) => node.id).filter((id) => !down.includes(id))),
    firsts,
  );
  const wished = request.wished ?? request.replicas ?? REPLICAS_DEFAULT;
  const shards = chosen.map(({ id, hosts }, i) => ({ id, members: membersOf(hosts, leading[i]!), replicas: wished }));
  return { ok: true, shards, warnings: warningsOf(chosen, replicas, down) };
}

function whatIsMissing(replicas: number, nodes: number): string | null {
  if (replicas > REPLICAS_MAX)
    return `${replicas} replicas a shard are more than the ${REPLICAS_MAX} that are supported`;
  if (nodes < REPLICAS_MIN) {
    return `a shard needs at least ${REPLICAS_MIN} nodes, the cluster has ${nodes}: ${REPLICAS_MIN - nodes} more needed`;
  }
  if (replicas < REPLICAS_MIN) return `a shard needs at least ${REPLICAS_MIN} replicas, asked for ${replicas}`;
  if (replicas > nodes) {
    const lack = replicas - nodes;
    return `${replicas} replicas a shard need ${replicas} nodes, the cluster has ${nodes}: ${lack} more ${lack === 1 ? 'node' : 'nodes'} needed`;
  }
  return null;
}

/** A shard whose majority is down from the start has no leader, and what is to move there waits. */
function whoIsMissing(
  { nodes, newShards }: PlacementRequest,
  replicas: number,
  down: readonly NodeId[],
): string | null {
  const there = nodes.length - down.length;
  const needed = Math.floor(replicas / 2) + 1;
  if (newShards.length === 0 || there >= needed) return null;
  const are = down.length === 1 ? 'is' : 'are';
  return `a new shard of ${replicas} replicas needs ${needed} nodes that are up, and there ${there === 1 ? 'is' : 'are'} ${there}: ${down.join(', ')} ${are} down`;
}

/** A node without the label is a place of its own. */
const hostOf = (node: NodeEntry): string => node.labels['host'] ?? `node ${node.id}`;
const zoneOf = (node: NodeEntry): string => node.labels['zone'] ?? `node ${node.id}`;

function chooseNodes(
  nodes: readonly NodeEntry[],
  count: number,
  load: ReadonlyMap<NodeId, number>,
  down: readonly NodeId[],
): NodeEntry[] {
  const up = nodes.filter((node) => !down.includes(node.id));
  const chosen: NodeEntry[] = [];
  while (chosen.length < count) {
    const next = bestNode(up, chosen, load) ?? bestNode(nodes, chosen, load);
    if (next === null) throw new Error(`invariant: ${count} of ${nodes.length} nodes are to be chosen`);
    chosen.push(next);
  }
  return chosen;
}

/** How many of `others` stand on the same host as `node`, and how many in the same zone. */
export const neighbours = (node: NodeEntry, others: readonly NodeEntry[]): readonly [host: number, zone: number] => [
  others.filter((other) => hostOf(other) === hostOf(node)).length,
  others.filter((other) => zoneOf(other) === zoneOf(node)).length,
];

/** Where one more replica goes best, beside those on `chosen`; null: there is no other node. */
export function bestNode(
  nodes: readonly NodeEntry[],
  chosen: readonly NodeEntry[],
  load: ReadonlyMap<NodeId, number>,
): NodeEntry | null {
  const rank = (node: NodeEntry): readonly number[] => [...neighbours(node, chosen), load.get(node.id) ?? 0];
  let best: NodeEntry | null = null;
  for (const node of nodes) {
    if (chosen.some((other) => other.id === node.id)) continue;
    if (best === null || comesBefore(rank(node), node, rank(best), best)) best = node;
  }
  return best;
}

function comesBefore(a: readonly number[], aNode: NodeEntry, b: readonly number[], bNode: NodeEntry): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! < b[i]!;
  return compareNodeIds(aNode.id, bNode.id) < 0;
}

/** `n2` before `n10`: by length first, since ids are mostly a letter and a number. */
export const compareNodeIds = (a: NodeId, b: NodeId): number => a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);

/** Who leads each shard: greedy, then improved until no single change makes it more even. */
function spreadFirsts(hosts: readonly (readonly NodeId[])[], firsts: Map<NodeId, number>): NodeId[] {
  const least = (ids: readonly NodeId[]): NodeId =>
    ids.reduce((best, id) => {
      const difference = firsts.get(id)! - firsts.get(best)! || compareNodeIds(id, best);
      return difference < 0 ? id : best;
    });
  const leading = hosts.map((ids) => {
    const first = least(ids);
    add(firsts, first, 1);
    return first;
  });
  for (let changed = true; changed; ) {
    changed = false;
    for (let i = 0; i < hosts.length; i++) {
      const better = least(hosts[i]!);
      if (firsts.get(better)! + 1 >= firsts.get(leading[i]!)!) continue;
      add(firsts, leading[i]!, -1);
      add(firsts, better, 1);
      leading[i] = better;
      changed = true;
    }
  }
  return leading;
}

function membersOf(hosts: readonly NodeEntry[], first: NodeId): ShardMember[] {
  const others = hosts.map((node) => node.id).filter((id) => id !== first);
  return [first, ...others.sort(compareNodeIds)].map((node, i) => ({ node, replica: i + 1 }));
}

function warningsOf(
  chosen: readonly { readonly id: GroupId; readonly hosts: readonly NodeEntry[] }[],
  replicas: number,
  down: readonly NodeId[],
): string[] {
  const warnings: string[] = [];
  if (chosen.length === 0) return warnings;
  const lame = chosen.filter(({ hosts }) => hosts.some(({ id }) => down.includes(id)));
  if (lame.length > 0) {
    const names = lame.map(({ id }) => `s${id}`).join(', ');
    const away = down.filter((id) => lame.some(({ hosts }) => hosts.some((node) => node.id === id)));
    const are = away.length === 1 ? 'is' : 'are';
    warnings.push(
      `too few nodes are up: ${names} ${lame.length === 1 ? 'starts' : 'start'} with replicas missing, as ${away.join(', ')} ${are} down`,
    );
  }
  if (replicas === 2) warnings.push('shards of two replicas take no writes as soon as one of their nodes is away');
  const crowded = chosen.filter(({ hosts }) => new Set(hosts.map(hostOf)).size < hosts.length);
  if (crowded.length > 0) {
    const names = crowded.map(({ id }) => `s${id}`).join(', ');
    warnings.push(`there are fewer hosts than replicas: some replicas of ${names} share a host`);
  }
  return warnings;
}

function add(counts: Map<NodeId, number>, node: NodeId, by: number): void {
  const count = counts.get(node);
  // A member on a node that is no longer in the map is nobody's load.
  if (count !== undefined) counts.set(node, count + by);
}
