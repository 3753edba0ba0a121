/**
 * One constructor for all messages: every message is born from the same literal, so that the engine sees one hidden
 * class, whatever the type uses.
 */
import {
  type Entry,
  type Index,
  index,
  type Message,
  type MessageType,
  NO_ENTRIES,
  type ReplicaId,
  type SnapshotMeta,
  type Term,
  term,
} from './types.js';

export interface MessageFields {
  readonly index?: Index;
  readonly logTerm?: Term;
  readonly commit?: Index;
  readonly entries?: readonly Entry[];
  readonly reject?: boolean;
  readonly hint?: Index;
  readonly context?: number;
  readonly snapshot?: SnapshotMeta;
}

const NOTHING: MessageFields = Object.freeze({});
const NO_INDEX = index(0);
const NO_TERM = term(0);

/** Fields that are left out hold 0, false, `NO_ENTRIES` or null. */
export function message(
  type: MessageType,
  from: ReplicaId,
  to: ReplicaId,
  messageTerm: Term,
  fields: MessageFields = NOTHING,
): Message {
  return {
    type,
    from,
    to,
    term: messageTerm,
    index: fields.index ?? NO_INDEX,
    logTerm: fields.logTerm ?? NO_TERM,
    commit: fields.commit ?? NO_INDEX,
    entries: fields.entries ?? NO_ENTRIES,
    reject: fields.reject ?? false,
    hint: fields.hint ?? NO_INDEX,
    context: fields.context ?? 0,
    snapshot: fields.snapshot ?? null,
  };
}
