/**
 * What the leader of a group does for whoever changes its members: says who they are, and takes one step of a change. The
 * core judges each step: one at a time, no newcomer that has not caught up, nothing that was found due under another
 * configuration.
 */
import type { GroupId, ReplicaHost } from '../../raft/index.js';
import { type Index, index, term } from '../../raft/index.js';
import type { MemberStep, Membership, StepAnswer } from '../../shardctrl/index.js';
import { handleJson } from './json-rpc.js';
import { Method, type Rpc } from './rpc.js';
import { type LeaderAnswer, type MembersRequest, membersRequestSchema } from './shard-schemas.js';

export interface MembersServiceOptions {
  readonly host: Pick<ReplicaHost, 'get'>;
  readonly rpc: Rpc;
  readonly failed: (error: unknown) => void;
}

export class MembersService {
  readonly #options: MembersServiceOptions;

  constructor(options: MembersServiceOptions) {
    this.#options = options;
    const answer = async (request: MembersRequest): Promise<LeaderAnswer<unknown>> =>
      request.kind === 'membership'
        ? this.membership(request.group)
        : this.step(request.group, index(request.seenAt), request.step);
    handleJson(options.rpc, Method.Members, membersRequestSchema, answer, options.failed);
  }

  membership(group: GroupId): LeaderAnswer<Membership> {
    const replica = this.#options.host.get(group);
    if (replica?.leads !== true) return { ok: false, leader: replica?.leaderNode ?? null };
    return {
      ok: true,
      value: { conf: replica.conf, confIndex: replica.confIndex, leader: replica.id, term: term(replica.term) },
    };
  }

  step(group: GroupId, seenAt: Index, step: MemberStep): LeaderAnswer<StepAnswer> {
    const replica = this.#options.host.get(group);
    if (replica?.leads !== true) return { ok: false, leader: replica?.leaderNode ?? null };
    if (step.kind === 'transfer') {
      if (replica.confIndex !== seenAt) return refused('the members have changed meanwhile');
      const result = replica.transferLeader(step.to);
      return result.ok ? BEGUN : refused(`${step.to} cannot take over now: ${result.reason}`);
    }
    if (step.kind !== 'change') return refused(`"${step.kind}" is no step to take`);
    const result = replica.proposeConfChange(step.change, seenAt);
    return result.ok ? BEGUN : refused(`${result.reason}: ${result.detail}`);
  }
}

const BEGUN: LeaderAnswer<StepAnswer> = { ok: true, value: { kind: 'begun' } };
const refused = (detail: string): LeaderAnswer<StepAnswer> => ({ ok: true, value: { kind: 'refused', detail } });
