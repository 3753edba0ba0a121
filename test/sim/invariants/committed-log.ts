/**
 * State machine safety (dissertation, figure 3.2), seen at the log: what one replica holds as committed at an index, every
 * replica that has that index committed holds too. The first to commit an entry writes it into the book. A leader must
 * hold everything that was committed in earlier terms than its own (leader completeness): one whose votes come late, when
 * a later term has begun, need not know what happened in that.
 */
import { crc32c } from '@node-rs/crc32';
import { index, type Replica } from '../../../src/raft/index.js';
import { type ClusterState, type Invariant, nameOf } from './invariant.js';

interface Book {
  /** By index, from 1. */
  readonly terms: number[];
  readonly sums: number[];
  /** The term in which the entry was seen committed first. */
  readonly committedIn: number[];
}

export class CommittedLog implements Invariant {
  readonly name = 'state machine safety and leader completeness';
  readonly #books = new Map<number, Book>();
  /** How far each life of each replica has been compared. */
  readonly #seen = new WeakMap<Replica, number>();
  readonly #leads = new WeakMap<Replica, number>();

  /** The last entry of a group that anybody has ever seen committed; null: none. */
  last(group: number): { readonly index: number; readonly term: number } | null {
    const book = this.#books.get(group);
    const last = (book?.terms.length ?? 1) - 1;
    return last === 0 ? null : { index: last, term: book!.terms[last]! };
  }

  check(state: ClusterState): string | null {
    for (const { node, group, replica } of state.changed) {
      const book = this.#book(group);
      const wrong = this.#compare(book, replica) ?? this.#complete(book, replica);
      if (wrong !== null) return `${node} ${nameOf(group)}: ${wrong}`;
    }
    return null;
  }

  #book(group: number): Book {
    const book = this.#books.get(group) ?? { terms: [0], sums: [0], committedIn: [0] };
    this.#books.set(group, book);
    return book;
  }

  #compare(book: Book, replica: Replica): string | null {
    const commit = replica.commit;
    let at = this.#seen.get(replica) ?? 0;
    while (at < commit) {
      const entries = replica.entriesFrom(index(at + 1), 1 << 20);
      if (entries.length === 0) break;
      for (const entry of entries) {
        if (entry.index > commit) break;
        at = entry.index;
        const sum = crc32c(entry.data);
        if (book.terms.length === at) {
          book.terms.push(entry.term);
          book.sums.push(sum);
          book.committedIn.push(replica.term);
        } else if (book.terms[at] !== undefined && (book.terms[at] !== entry.term || book.sums[at] !== sum)) {
          return `committed entry ${at} is of term ${entry.term}, but another replica committed one of term ${book.terms[at]}`;
        }
      }
    }
    this.#seen.set(replica, Math.max(at, commit));
    return null;
  }

  #complete(book: Book, replica: Replica): string | null {
    if (replica.role !== 'leader' || this.#leads.get(replica) === replica.term) return null;
    this.#leads.set(replica, replica.term);
    let known = book.terms.length - 1;
    while (known > 0 && book.committedIn[known]! >= replica.term) known--;
    if (known === 0) return null;
    const last = index(known);
    if (replica.lastIndex < last)
      return `leads term ${replica.term} with a log up to ${replica.lastIndex}; ${last} is committed`;
    const term = replica.termAt(last);
    if (term !== null && term !== book.terms[last]) {
      return `leads term ${replica.term}, but its entry ${last} is of term ${term}; committed is one of term ${book.terms[last]}`;
    }
    return null;
  }
}
