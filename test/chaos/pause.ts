/** Resolves after the time, or at once when the signal says so. Never rejects. */
export function pause(delay_ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, delay_ms);
    signal?.addEventListener('abort', end, { once: true });
  });
}
