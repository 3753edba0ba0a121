/**
 * One line on a terminal that says where something is that is waited for, with a bar where its length is known. It is gone
 * once the waiting ends. Elsewhere there is none: an answer is all that a script waits for.
 */
import { say } from './output.js';

export interface ProgressLine {
  /** `done`: of `total`. */
  show(text: string, done?: number): void;
  /** A line that stays, on a terminal or not. */
  note(line: string): void;
  end(): void;
}

const NONE: ProgressLine = { show() {}, note: say, end() {} };

/** `total` null: no bar. */
export async function progressLine(total: number | null): Promise<ProgressLine> {
  if (process.stderr.isTTY !== true) return NONE;
  const { Presets, SingleBar } = await import('cli-progress');
  const bar = new SingleBar(
    {
      format: total === null ? '{text}' : '{bar} {text}',
      barsize: 24,
      clearOnComplete: true,
      // The terminal is left as it is: nothing has to be restored, and so Ctrl-C need not be caught but ends the waiting.
      gracefulExit: false,
      linewrap: true,
      stream: process.stderr,
    },
    Presets.shades_classic,
  );
  let shown = { text: '', done: 0 };
  const start = (): void => bar.start(Math.max(1, total ?? 1), shown.done, { text: shown.text });
  start();
  return {
    show(text, done = 0) {
      shown = { text, done };
      bar.update(done, { text });
    },
    note(line) {
      bar.stop();
      say(line);
      start();
    },
    end: () => bar.stop(),
  };
}
