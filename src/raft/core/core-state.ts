/**
 * The state of one replica that all parts of the core work on (Figure 2), and the transitions between roles. What a role
 * does with messages lies in the modules of that part: election, replication, follower, reads, membership, transfer.
 */
import { ForwardedReads } from './forwarded-reads.js';
import { Leadership } from './leadership.js';
import { LogView } from './log-view.js';
import { Outbox } from './outbox.js';
import {
  type ConfState,
  type CoreOptions,
  EntryKind,
  index,
  type EntryKind as Kind,
  type Member,
  NOBODY,
  type ReadState,
  type ReplicaId,
  type Role,
  type Term,
  term,
} from './types.js';
import { WriteQueue } from './write-queue.js';

/** Attempts at an election in quick succession after the leader's process was seen to end. */
const HURRIED_ATTEMPTS = 3;
const HURRIED_TICKS_MIN = 2;

export const NO_DATA = new Uint8Array(0);
const NO_CONF: ConfState = { voters: [], outgoing: [], learners: [], learnersNext: [], autoLeave: false };

export class CoreState {
  readonly id: ReplicaId;
  readonly options: CoreOptions;
  readonly log: LogView;
  readonly outbox = new Outbox();
  readonly writes = new WriteQueue();
  readonly forwarded: ForwardedReads;
  term: Term;
  vote: ReplicaId;
  leader: ReplicaId = NOBODY;
  role: Exclude<Role, 'learner'> = 'follower';
  /** Not null exactly for a leader. */
  leading: Leadership | null = null;
  /** Answers to the (pre-)votes of the present candidacy. */
  readonly votes = new Map<ReplicaId, boolean>();
  electionElapsed = 0;
  electionTimeout = 0;
  /** Elections left to be tried in quick succession. */
  hurried = 0;
  /** Asked by TimeoutNow to campaign, but a committed change of membership has to be applied first. */
  campaignWhenApplied = false;
  /** For the next Ready. */
  reads: ReadState[] = [];
  /** Of the change that made the configuration in force; where that is not known any more, an index after it. */
  confIndex: number;
  #conf: ConfState = NO_CONF;
  #isVoter = false;
  #isLearner = false;

  constructor(options: CoreOptions) {
    checkOptions(options);
    this.id = options.id;
    this.options = options;
    this.term = options.hardState.term;
    this.vote = options.hardState.vote;
    this.conf = options.conf;
    this.confIndex = options.applied;
    this.log = new LogView(options.compacted, options.entries, options.applied, options.hardState.commit);
    if (this.log.lastTerm > this.term) {
      throw new Error(`invariant: the log ends in term ${this.log.lastTerm}, but only term ${this.term} was recorded`);
    }
    this.forwarded = new ForwardedReads(options.random);
    this.drawElectionTimeout();
  }

  drawElectionTimeout(): void {
    const { electionTicks, random } = this.options;
    this.electionTimeout = electionTicks + Math.floor(random() * electionTicks);
  }

  /** The configuration in force. */
  get conf(): ConfState {
    return this.#conf;
  }
  set conf(conf: ConfState) {
    const isSelf = (member: Member): boolean => member.id === this.id;
    this.#conf = conf;
    this.#isVoter = conf.voters.some(isSelf) || conf.outgoing.some(isSelf);
    this.#isLearner = conf.learners.some(isSelf);
  }

  get isVoter(): boolean {
    return this.#isVoter;
  }

  get isLearner(): boolean {
    return this.#isLearner;
  }

  get hasUnappliedCommittedConf(): boolean {
    const first = this.log.firstUnappliedConf;
    return first !== 0 && first <= this.log.commit;
  }

  /** Section 6.4: only then does the leader know what is committed. */
  get committedInTerm(): boolean {
    return this.role === 'leader' && this.log.termOrZero(this.log.commit) === this.term;
  }

  /** Until its own entry is committed a leader does not know what its predecessors committed, but all of it is before that entry. */
  get commitBound(): number {
    return Math.max(this.log.commit, this.leading?.firstOwn ?? 0);
  }

  // ------------------------------------------------------------------------------------------------------------- roles

  #enter(newTerm: Term, leader: ReplicaId): void {
    if (newTerm !== this.term) {
      this.term = newTerm;
      this.vote = NOBODY;
    }
    this.loseReads();
    this.leading = null;
    this.leader = leader;
    this.electionElapsed = 0;
    this.campaignWhenApplied = false;
    this.votes.clear();
    this.drawElectionTimeout();
  }

  becomeFollower(newTerm: Term, leader: ReplicaId): void {
    if (newTerm < this.term) throw new Error(`invariant: term ${newTerm} after ${this.term}`);
    this.#enter(newTerm, leader);
    this.role = 'follower';
    if (leader !== NOBODY) this.hurried = 0;
  }

  /** Section 9.6: neither the term nor the vote changes. */
  becomePreCandidate(): void {
    this.#enter(this.term, NOBODY);
    this.role = 'pre_candidate';
    this.#hurry();
  }

  becomeCandidate(): void {
    this.#enter(term(this.term + 1), NOBODY);
    this.role = 'candidate';
    this.vote = this.id;
    this.#hurry();
  }

  #hurry(): void {
    if (this.hurried === 0) return;
    this.hurried--;
    this.electionTimeout = HURRIED_TICKS_MIN + Math.floor(this.options.random() * 3);
  }

  becomeLeader(): void {
    this.#enter(this.term, this.id);
    this.role = 'leader';
    this.hurried = 0;
    const firstOwn = this.log.last + 1;
    this.leading = new Leadership(this.options, this.conf, firstOwn);
    const self = this.leading.self;
    if (self !== undefined) {
      self.match = this.log.stable;
      self.becomeReplicate();
      self.next = firstOwn + 1;
    }
    this.appendOwn(EntryKind.Noop, NO_DATA);
  }

  /** The leader's new entry. */
  appendOwn(kind: Kind, data: Uint8Array): void {
    this.log.append({ term: this.term, index: index(this.log.last + 1), kind, data });
  }

  /** The word of the leader of this term has arrived. */
  heardLeader(from: ReplicaId): void {
    if (this.leader === from && this.role === 'follower') {
      this.electionElapsed = 0;
      return;
    }
    if (this.leader !== NOBODY) {
      throw new Error(`invariant: both ${this.leader} and ${from} are leaders in term ${this.term}`);
    }
    this.becomeFollower(this.term, from);
  }

  /**
   * The leader's process has ended: nothing protects it any more, and an election starts after a few ticks, soon again
   * if that one fails (others may not have noticed yet).
   */
  forgetLeader(): void {
    if (this.role !== 'follower' || this.leader === NOBODY) return;
    this.loseReads();
    this.leader = NOBODY;
    this.hurried = HURRIED_ATTEMPTS;
    this.electionTimeout = this.electionElapsed + Math.floor(this.options.random() * 3);
  }

  /** What was asked of a leader that is leader no more, or of ourselves as that leader. */
  loseReads(): void {
    const lost = this.leading === null ? this.forwarded.drain() : this.leading.reads.drainOwn();
    for (const context of lost) this.reads.push({ context, index: null });
  }
}

function checkOptions(options: CoreOptions): void {
  const positive = (name: keyof CoreOptions): void => {
    const value = options[name];
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value <= 0) {
      throw new Error(`core option ${name} must be a positive integer, not ${String(value)}`);
    }
  };
  positive('id');
  positive('heartbeatTicks');
  positive('electionTicks');
  positive('maxInflightMessages');
  positive('maxInflightBytes');
  positive('maxMessageBytes');
  positive('maxUncommittedBytes');
  if (options.electionTicks <= options.heartbeatTicks)
    throw new Error('core option electionTicks must be above heartbeatTicks');
}
