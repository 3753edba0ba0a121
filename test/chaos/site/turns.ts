/**
 * One at a time: a fault strikes or heals, or a seat changes hands. So neither finds half of what the other does: a directory
 * that goes while bytes in it are being flipped, a link that is cut to a node that is not there any more.
 */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** In the order in which they ask. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    // Whoever comes next does not care how this one ended.
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
