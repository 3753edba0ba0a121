/** Which revision of a key was acknowledged when: what a read that may be so and so old must show, or something newer. */
export class Acknowledged {
  /** By key; revisions and times ascend. */
  readonly #keys = new Map<string, { readonly revision: number; readonly at_ms: number }[]>();

  note(key: string, revision: number, now_ms: number): void {
    const all = this.#keys.get(key) ?? [];
    this.#keys.set(key, all);
    // An answer may be that of an earlier attempt.
    if (revision > (all.at(-1)?.revision ?? 0)) all.push({ revision, at_ms: now_ms });
  }

  /** The newest one by then; 0: none. */
  by(key: string, at_ms: number): number {
    return this.#keys.get(key)?.findLast((one) => one.at_ms <= at_ms)?.revision ?? 0;
  }
}
