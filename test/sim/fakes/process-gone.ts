/**
 * Thrown at what a process does after it has died: the rest of the step amid which it was stopped (clock.ts) still runs, and
 * nothing of that may reach a disk or anybody else. An error of this kind says nothing about the product.
 */
export class ProcessGone extends Error {}

/** What a dead process waits for. */
export const never = <T>(): Promise<T> => new Promise<T>(() => {});
