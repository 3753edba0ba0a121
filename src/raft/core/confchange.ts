/**
 * What a membership change makes of a configuration (chapter 4): pure functions from one to the next.
 *
 * A change of one voter takes effect directly, since old and new majorities intersect. Anything bigger goes through a
 * joint configuration, in which both decide, and which a second entry leaves.
 */
import type { ConfChange, ConfChangeStep, ConfState, Member, ReplicaId } from './types.js';

export type ConfResult =
  | { readonly ok: true; readonly conf: ConfState }
  | { readonly ok: false; readonly detail: string };

const bad = (detail: string): ConfResult => ({ ok: false, detail });

export const isJoint = (conf: ConfState): boolean => conf.outgoing.length > 0;

/** Whether a configuration knows this replica, in whatever part. */
export const isMember = ({ voters, outgoing, learners }: ConfState, id: ReplicaId): boolean =>
  [voters, outgoing, learners].some((list) => has(list, id));

const has = (list: readonly Member[], id: ReplicaId): boolean => list.some((member) => member.id === id);
const without = (list: readonly Member[], id: ReplicaId): readonly Member[] =>
  has(list, id) ? list.filter((member) => member.id !== id) : list;
const adding = (list: readonly Member[], member: Member): readonly Member[] =>
  [...list, member].sort((a, b) => a.id - b.id);

/** The configuration after `change` is applied to `conf`. */
export function nextConf(conf: ConfState, change: ConfChange): ConfResult {
  if (change.steps.length === 0) return leaveJoint(conf);
  if (isJoint(conf)) return bad('the joint configuration has to be left first');
  if (conf.voters.length === 0) return bad('a configuration without voters cannot be changed');
  const problem = findProblem(conf, change.steps);
  if (problem !== null) return bad(problem);
  const joint = change.steps.length > 1 || change.transition !== 'auto';
  let next: ConfState = joint
    ? { ...conf, outgoing: conf.voters, autoLeave: change.transition !== 'joint_explicit' }
    : conf;
  for (const step of change.steps) next = applyStep(next, step);
  if (next.voters.length === 0) return bad('no voter would be left');
  return { ok: true, conf: next };
}

function leaveJoint(conf: ConfState): ConfResult {
  if (!isJoint(conf)) return bad('there is no joint configuration to leave');
  let learners = conf.learners;
  for (const member of conf.learnersNext) learners = adding(learners, member);
  return { ok: true, conf: { voters: conf.voters, outgoing: [], learners, learnersNext: [], autoLeave: false } };
}

function findProblem(conf: ConfState, steps: readonly ConfChangeStep[]): string | null {
  const touched = new Set<ReplicaId>();
  for (const step of steps) {
    const id = step.op === 'remove' ? step.id : step.member.id;
    if (!Number.isSafeInteger(id) || id <= 0) return `${id} is no replica id`;
    if (touched.has(id)) return `replica ${id} is named twice`;
    touched.add(id);
    const isVoter = has(conf.voters, id);
    const isLearner = has(conf.learners, id);
    if (step.op === 'remove') {
      if (!isVoter && !isLearner) return `replica ${id} is not a member`;
      continue;
    }
    if (step.op === 'add_voter' && isVoter) return `replica ${id} is a voter already`;
    if (step.op === 'add_learner' && isLearner) return `replica ${id} is a learner already`;
    const known = [...conf.voters, ...conf.learners].find((member) => member.id === id);
    if (known !== undefined && known.node !== step.member.node) {
      return `replica ${id} lives on ${known.node}, not on ${step.member.node}`;
    }
  }
  return null;
}

function applyStep(conf: ConfState, step: ConfChangeStep): ConfState {
  switch (step.op) {
    case 'add_voter':
      return {
        ...conf,
        voters: adding(conf.voters, step.member),
        learners: without(conf.learners, step.member.id),
      };
    case 'add_learner': {
      const voters = without(conf.voters, step.member.id);
      // Still a voter of the outgoing half: it can only become a learner when that half is gone.
      if (has(conf.outgoing, step.member.id)) {
        return { ...conf, voters, learnersNext: adding(conf.learnersNext, step.member) };
      }
      return { ...conf, voters, learners: adding(conf.learners, step.member) };
    }
    case 'remove':
      return { ...conf, voters: without(conf.voters, step.id), learners: without(conf.learners, step.id) };
  }
}
