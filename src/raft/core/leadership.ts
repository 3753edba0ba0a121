/** What a replica keeps only while it is leader: the progress of all members, reads to confirm, a transfer under way. */
import { MemberProgress } from './progress.js';
import { committedIndex, quorumHolds } from './quorum.js';
import { ReadRounds } from './read-rounds.js';
import { type ConfState, type CoreOptions, type Member, NOBODY, type ReplicaId } from './types.js';

export class Leadership {
  readonly reads = new ReadRounds();
  /** Index of the entry with which the leader opens its term. */
  readonly firstOwn: number;
  /** Ascending by id; the leader itself is among them unless it is not a member (any more). */
  members: readonly MemberProgress[] = [];
  voters: readonly MemberProgress[] = [];
  outgoing: readonly MemberProgress[] = [];
  /** The first entry after it was known that the last change that let a voter go is committed; 0: none yet. */
  settlesAt: number;
  heartbeatElapsed = 0;
  /** Ticks since the election. */
  now = 0;
  /** Counts heartbeat intervals. */
  beat = 0;
  transferTo: ReplicaId = NOBODY;
  transferElapsed = 0;
  timeoutNowSent = false;
  /** What was committed at the tick `diskMarkedAt` and must soon be durable here, too (F37). */
  diskMark = 0;
  diskMarkedAt = 0;
  /** The commit index of the last heartbeat but one, and of the last: a learner that has not reached the first is behind. */
  caughtUpMark: number;
  nextCaughtUpMark: number;
  readonly #self: ReplicaId;
  readonly #options: CoreOptions;
  readonly #byId = new Map<ReplicaId, MemberProgress>();

  constructor(options: CoreOptions, conf: ConfState, firstOwn: number) {
    this.#self = options.id;
    this.#options = options;
    this.firstOwn = firstOwn;
    this.settlesAt = firstOwn;
    this.caughtUpMark = this.nextCaughtUpMark = firstOwn;
    this.setConf(conf, firstOwn);
    // Nobody has answered this leader yet; they have an election timeout's time to.
    for (const member of this.members) member.recentActive = member.id === this.#self;
  }

  member(id: ReplicaId): MemberProgress | undefined {
    return this.#byId.get(id);
  }

  get self(): MemberProgress | undefined {
    return this.#byId.get(this.#self);
  }

  /** Keeps what is known of those who stay. `next` is where newcomers are probed first. */
  setConf(conf: ConfState, next: number): void {
    const learners = new Set(conf.learners.map((member) => member.id));
    const ids = new Set<ReplicaId>();
    for (const list of [conf.voters, conf.outgoing, conf.learners]) for (const member of list) ids.add(member.id);
    for (const id of this.#byId.keys()) if (!ids.has(id)) this.#byId.delete(id);
    for (const id of ids) {
      let progress = this.#byId.get(id);
      if (progress === undefined) {
        progress = new MemberProgress(id, next, this.#options.maxInflightMessages, this.#options.maxInflightBytes);
        // A newcomer could not be heard of yet: it must not make the next check of the quorum fail.
        this.heardOf(progress);
        this.#byId.set(id, progress);
      }
      progress.learner = learners.has(id);
    }
    const resolve = (list: readonly Member[]): MemberProgress[] =>
      list.map((member) => this.#byId.get(member.id) as MemberProgress);
    this.members = [...this.#byId.values()].sort((a, b) => a.id - b.id);
    this.voters = resolve(conf.voters);
    this.outgoing = resolve(conf.outgoing);
  }

  /** The highest index that a quorum holds. */
  quorumIndex(): number {
    return committedIndex(this.voters, this.outgoing);
  }

  heardOf(member: MemberProgress): void {
    member.recentActive = true;
    member.heardAt = this.now;
  }

  /** An answer of our own term: the member took us for its leader when it sent it. */
  answered(member: MemberProgress): void {
    this.heardOf(member);
    member.answeredAt = this.now;
  }

  /** The last tick by which a quorum had answered; the election is one, too. */
  confirmedAt(): number {
    const answers = (half: readonly MemberProgress[]): { readonly match: number }[] =>
      half.map((voter) => ({ match: voter.id === this.#self ? this.now : voter.answeredAt }));
    return committedIndex(answers(this.voters), answers(this.outgoing));
  }

  /** Section 6.2, every tick: has a quorum been heard of within the last `electionTicks`? */
  checkQuorum(): boolean {
    const { now } = this;
    const { electionTicks } = this.#options;
    for (const member of this.members) {
      if (now - member.heardAt >= electionTicks && member.id !== this.#self) member.recentActive = false;
    }
    return quorumHolds(
      this.voters,
      this.outgoing,
      (voter) => voter.id === this.#self || now - voter.heardAt < electionTicks,
    );
  }

  roundConfirmed(round: number): boolean {
    return quorumHolds(this.voters, this.outgoing, (voter) => voter.ackedRound === round || voter.id === this.#self);
  }

  /** The leader alone is a quorum. */
  get alone(): boolean {
    return (
      this.voters.length === 1 && this.outgoing.length === 0 && (this.voters[0] as MemberProgress).id === this.#self
    );
  }
}
