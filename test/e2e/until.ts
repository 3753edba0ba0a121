/** Waiting for conditions, never for times. */

const POLL_MS = 25;

/** Polls until `probe` gives something; fails with what was last seen. */
export async function until<T>(
  what: string,
  timeout_ms: number,
  probe: () => Promise<T | null | false | undefined>,
): Promise<T> {
  const deadline = performance.now() + timeout_ms;
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== null && value !== undefined && value !== false) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline)
      throw new Error(`not within ${timeout_ms} ms: ${what}${last === undefined ? '' : ` (${String(last)})`}`);
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}
