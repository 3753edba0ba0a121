/**
 * What the leader of a group does for whoever changes its members: says who they are, and takes one step of a change. The
 * core judges each step: one at a time, no newcomer that has not caught up, nothing that was found due under another
 * configuration.
 */
import type { Clock, ConfChange, GroupId, NodeId, Replica, ReplicaHost } from '../../raft/index.js';
import { type Index, index, term } from '../../raft/index.js';
import type { MemberStep, Membership, NewcomerProgress, StepAnswer } from '../../shardctrl/index.js';
import { handleJson } from './json-rpc.js';
import { Method, type Rpc } from './rpc.js';
import { type LeaderAnswer, type MembersRequest, membersRequestSchema } from './shard-schemas.js';
import { readBarrier } from './waiting.js';

const BARRIER_MS = 1_000;
const ABREAST_ENTRIES = 1_000;

export interface MembersServiceOptions {
  readonly host: Pick<ReplicaHost, 'get'>;
  readonly clock: Clock;
  readonly rpc: Rpc;
  readonly failed: (error: unknown) => void;
}

export class MembersService {
  readonly #options: MembersServiceOptions;

  constructor(options: MembersServiceOptions) {
    this.#options = options;
    const answer = async (request: MembersRequest): Promise<LeaderAnswer<unknown>> =>
      request.kind === 'membership'
        ? await this.membership(request.group)
        : this.step(request.group, index(request.seenAt), request.step);
    handleJson(options.rpc, Method.Members, membersRequestSchema, answer, options.failed);
  }

  /** Confirmed by a quorum: what a deposed leader believes must not end a change (F10, F12). */
  async membership(group: GroupId): Promise<LeaderAnswer<Membership>> {
    const { host, clock } = this.#options;
    const replica = host.get(group);
    const confirmed = replica?.leads === true && (await readBarrier(replica, clock, BARRIER_MS));
    if (!confirmed || !replica.leads) return { ok: false, leader: replica?.leaderNode ?? null };
    const { conf, confIndex, confSettled: settled, id: leader } = replica;
    const newcomers = newcomersOf(replica);
    return { ok: true, value: { conf, confIndex, settled, leader, term: term(replica.term), newcomers } };
  }

  step(group: GroupId, seenAt: Index, step: MemberStep): LeaderAnswer<StepAnswer> {
    const replica = this.#options.host.get(group);
    if (replica?.leads !== true) return { ok: false, leader: replica?.leaderNode ?? null };
    if (step.kind === 'transfer') {
      if (replica.confIndex !== seenAt) return refused('the members have changed meanwhile');
      if (!isAbreast(replica, step.to)) return refused(`${step.to} has not caught up, or does not answer`);
      const result = replica.transferLeader(step.to);
      return result.ok ? BEGUN : refused(`${step.to} cannot take over now: ${result.reason}`);
    }
    if (step.kind !== 'change') return refused(`"${step.kind}" is no step to take`);
    if (!staysInQuorum(replica, step.change)) return refused('a majority of those who would be left does not answer');
    const result = replica.proposeConfChange(step.change, seenAt);
    return result.ok ? BEGUN : refused(`${result.reason}: ${result.detail}`);
  }
}

function newcomersOf(replica: Replica): NewcomerProgress[] {
  const { progress, commit } = replica.status();
  return progress
    .filter(({ learner }) => learner)
    .map(({ id, match }) => ({ id, match, behind: Math.max(0, commit - match), frames: replica.snapshotFrames(id) }));
}

/** While a transfer is under way nothing is written: it must not be to one that cannot take over (F15). */
function isAbreast(replica: Replica, node: NodeId): boolean {
  const { conf, commit, progress } = replica.status();
  const id = conf.voters.find((voter) => voter.node === node)?.id;
  const member = progress.find((one) => one.id === id);
  return member?.recentActive === true && member.state === 'replicate' && member.match + ABREAST_ENTRIES >= commit;
}

/** A change must not leave the group to members that are not there: with them nothing could be changed back. */
function staysInQuorum(replica: Replica, { steps }: ConfChange): boolean {
  const { id: self, conf, progress } = replica.status();
  const after = new Set(conf.voters.map((voter) => voter.id));
  for (const step of steps) {
    if (step.op === 'remove') after.delete(step.id);
    else if (step.op === 'add_voter') after.add(step.member.id);
  }
  const there = [...after].filter((id) => id === self || progress.some((one) => one.id === id && one.recentActive));
  return there.length * 2 > after.size;
}

const BEGUN: LeaderAnswer<StepAnswer> = { ok: true, value: { kind: 'begun' } };
const refused = (detail: string): LeaderAnswer<StepAnswer> => ({ ok: true, value: { kind: 'refused', detail } });
