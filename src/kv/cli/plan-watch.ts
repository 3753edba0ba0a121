/**
 * Follows a plan to its end: a bar per move on a terminal, a line per change of phase elsewhere. Watching changes nothing:
 * the plan goes on whether anybody looks or not.
 */
import type { BasicClient, PlanMoveView, PlanView } from '../client/index.js';
import { CliError } from './cli-error.js';
import { follow } from './follow.js';
import { say } from './output.js';
import { isOver, rateText } from './plan-report.js';
import { byteText, countText, durationText } from './text.js';

interface Progress {
  show(plan: PlanView): void;
  end(): void;
}

function numbers(move: PlanMoveView): string {
  const eta = move.eta_ms === null ? '' : `, ETA ${durationText(move.eta_ms)}`;
  return `${countText(move.keys)} keys, ${byteText(move.bytes)}, ${rateText(move)}${eta}`;
}

/** How far moves are, in percent: what has passed against what the controller says is left. */
class Shares {
  readonly #since_ms = new Map<string, number>();
  readonly #shown = new Map<string, number>();

  of(move: PlanMoveView): number {
    if (move.phase === 'done') return 100;
    const now_ms = performance.now();
    const begun = move.phase !== 'waiting' && move.phase !== 'planned';
    const since_ms = this.#since_ms.get(move.id) ?? now_ms;
    if (begun) this.#since_ms.set(move.id, since_ms);
    const elapsed_ms = now_ms - since_ms;
    const estimate =
      move.phase === 'purging' ? 99 : move.eta_ms === null ? 0 : (100 * elapsed_ms) / (elapsed_ms + move.eta_ms + 1);
    // An estimate may fall, a bar never does.
    const share = Math.min(99, Math.max(this.#shown.get(move.id) ?? 0, Math.floor(estimate)));
    this.#shown.set(move.id, share);
    return share;
  }
}

async function bars(): Promise<Progress> {
  const { MultiBar, Presets } = await import('cli-progress');
  const multi = new MultiBar(
    {
      format: '{move}  {way}  {bar} {percentage}%  {phase}  {numbers}',
      barsize: 24,
      // Nothing of the terminal has to be restored, and so Ctrl-C need not be caught but ends the watching.
      gracefulExit: false,
      linewrap: true,
      stream: process.stderr,
    },
    Presets.shades_classic,
  );
  const shares = new Shares();
  const shown = new Map<string, ReturnType<typeof multi.create>>();
  return {
    show(plan) {
      for (const move of plan.moves) {
        const payload = {
          move: move.id.padEnd(4),
          way: `${move.from}→${move.to}`.padEnd(8),
          phase: move.phase.padEnd(8),
          numbers: numbers(move),
        };
        const bar = shown.get(move.id) ?? multi.create(100, 0, payload);
        shown.set(move.id, bar);
        bar.update(shares.of(move), payload);
      }
    },
    end: () => multi.stop(),
  };
}

function lines(): Progress {
  const phases = new Map<string, string>();
  let state = '';
  return {
    show(plan) {
      if (plan.state !== state) {
        state = plan.state;
        say(`plan ${plan.id} ${state}${plan.reason === undefined ? '' : `: ${plan.reason}`}`);
      }
      for (const move of plan.moves) {
        if (phases.get(move.id) === move.phase) continue;
        phases.set(move.id, move.phase);
        say(`${move.id} ${move.from}→${move.to} ${move.phase}: ${numbers(move)}`);
      }
    },
    end() {},
  };
}

/** Resolves with the plan when it is over, whichever way. */
export async function watchPlan(client: BasicClient, started: PlanView): Promise<PlanView> {
  const progress = process.stderr.isTTY ? await bars() : lines();
  try {
    return await follow({
      first: started,
      ask: async () => {
        const plan = await client.planStatus(started.id);
        if (plan === null) throw new CliError(`plan ${started.id} is not known any more`);
        return plan;
      },
      over: isOver,
      show: (plan) => progress.show(plan),
    });
  } finally {
    progress.end();
  }
}
