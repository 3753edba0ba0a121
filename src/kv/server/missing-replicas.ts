/** Replicas whose nodes are down, and what becomes of them, in words for whoever looks at the cluster. */
import type { NodeId } from '../../raft/index.js';
import {
  CONTROLLER_GROUP,
  DRIVER_DEFAULTS,
  groupsOf,
  isOver,
  lostReplicas,
  type Outlook,
  type PlanState,
  rebuildView,
  SETTINGS_DEFAULT,
  type ShardMap,
  shardName,
} from '../../shardctrl/index.js';
import type { MissingReplicaView } from './api.js';
import type { MembersAnswer } from './controller-caller.js';
import { durationText } from './duration-text.js';
import type { HelloService } from './hello.js';

/** Whether anything is missing, as this node sees it: only then the controller has to be asked. */
export function anyDown(map: ShardMap, hello: Pick<HelloService, 'state'>, self: NodeId): boolean {
  const isDown = (node: NodeId): boolean => node !== self && hello.state(node) === 'down';
  return groupsOf(map).some(([, { members }]) => members.some(({ node }) => isDown(node)));
}

/** `answer` null: the controller has not said what it wants. */
export function missingReplicas(
  map: ShardMap,
  answer: MembersAnswer | null,
  plan: PlanState | null,
  hello: HelloService,
  self: NodeId,
): MissingReplicaView[] {
  const view = rebuildView({
    map: answer?.map ?? map,
    changes: answer?.changes ?? [],
    plan: plan === null || isOver(plan) ? null : plan,
    settings: answer?.settings ?? SETTINGS_DEFAULT,
    healthy: (node) => node === self || hello.state(node) === 'healthy',
    downFor_ms: (node) => (node === self ? null : hello.downFor_ms(node)),
  });
  const lost = lostReplicas(view);
  // Once for each node: what is computed twice may differ by a millisecond, and look like two events.
  const times = new Map(lost.map(({ node }) => [node, new Date(hello.since_ms(node)).toISOString()]));
  return lost.map(({ group, node, outlook }) => {
    const { state, reason } = answer === null && outlook.kind === 'not_allowed' ? UNKNOWN : inWords(outlook);
    const since = times.get(node)!;
    return { group: group === CONTROLLER_GROUP ? 'controller' : shardName(group), node, since, state, reason };
  });
}

type Words = Pick<MissingReplicaView, 'state' | 'reason'>;

const UNKNOWN: Words = {
  state: 'blocked',
  reason: 'the controller does not answer: nothing is rebuilt before it does',
};

function inWords(outlook: Outlook): Words {
  switch (outlook.kind) {
    case 'rebuilding':
      return {
        state: 'rebuilding',
        reason: outlook.to.length === 0 ? 'it is being removed' : `it is being rebuilt on ${outlook.to.join(', ')}`,
      };
    case 'due':
      return {
        state: 'waiting',
        reason: `it is next to be rebuilt elsewhere, ${DRIVER_DEFAULTS.rebuildsMax} at a time`,
      };
    case 'waiting': {
      const limit = durationText(outlook.rebuildAfter_ms);
      return { state: 'waiting', reason: `it is rebuilt elsewhere once the node has been down for ${limit}` };
    }
    case 'draining':
      return { state: 'waiting', reason: 'the node is being drained: it goes elsewhere as soon as there is a place' };
    case 'busy':
      return { state: 'waiting', reason: `the members are being changed: ${outlook.cause}` };
    case 'retiring':
      return { state: 'waiting', reason: 'the shard is being retired' };
    case 'not_allowed':
      return { state: 'blocked', reason: 'rebuild is not allowed (rebuild_after is off): it waits for the node' };
    case 'no_place':
      return { state: 'blocked', reason: 'no node to take it: each healthy one has a replica, or is being drained' };
    case 'no_majority': {
      const { there, needed } = outlook;
      const left = `${there} ${there === 1 ? 'is' : 'are'} there`;
      return { state: 'blocked', reason: `it cannot be rebuilt: to agree on it takes ${needed} members, and ${left}` };
    }
  }
}
