/** Follows a verification to its end: one line on a terminal, a line for each change elsewhere. Looking changes nothing. */
import type { BasicClient, VerifyShardView, VerifyView } from '../client/index.js';
import { CliError } from './cli-error.js';
import { follow } from './follow.js';
import { say } from './output.js';
import { progressLine } from './progress-line.js';
import { byteText, durationText } from './text.js';

const PERCENT = 100;

/** Of one shard, from 0 to 1. */
function shareOf({ state, replicas }: VerifyShardView): number {
  if (state === 'done') return 1;
  const bytes = replicas.reduce((sum, replica) => sum + (replica.bytes ?? 0), 0);
  const read = replicas.reduce((sum, replica) => sum + replica.read_bytes, 0);
  return bytes === 0 ? 0 : Math.min(0.99, read / bytes);
}

export function doneShare({ shards }: VerifyView): number {
  return shards.length === 0 ? 0 : shards.reduce((sum, shard) => sum + shareOf(shard), 0) / shards.length;
}

function progressText(view: VerifyView, elapsed_ms: number): string {
  const { shards, plan } = view;
  const share = doneShare(view);
  const read = shards.flatMap(({ replicas }) => replicas).reduce((sum, { read_bytes }) => sum + read_bytes, 0);
  const busy = shards
    .filter(({ state }) => state !== 'waiting' && state !== 'done')
    .map(({ id, state }) => `${id} ${state}`);
  const eta = share > 0.01 && share < 1 ? `, ETA ${durationText((elapsed_ms * (1 - share)) / share)}` : '';
  const receipts =
    plan === null || plan.checked === plan.receipts ? '' : `${plan.checked} of ${plan.receipts} receipts, `;
  return `${receipts}${Math.floor(share * PERCENT)} %, ${byteText(read)} read${busy.length === 0 ? '' : `, ${busy.join(', ')}`}${eta}`;
}

/** Where no terminal is: a line for each shard that has come further. */
class Lines {
  readonly #states = new Map<string, string>();

  show({ shards }: VerifyView): void {
    for (const { id, state, differences } of shards) {
      if (state === 'waiting' || this.#states.get(id) === state) continue;
      this.#states.set(id, state);
      say(`${id} ${state}${state === 'done' ? `: ${differences.length} differences` : ''}`);
    }
  }
}

/** Resolves with the verification when it is over, whichever way. */
export async function watchVerification(client: BasicClient, begun: VerifyView): Promise<VerifyView> {
  const line = await progressLine(PERCENT);
  const lines = process.stderr.isTTY === true ? null : new Lines();
  const begun_ms = performance.now();
  try {
    return await follow({
      first: begun,
      ask: async () => {
        const view = await client.verification(begun.id);
        if (view === null) {
          throw new CliError(`verification ${begun.id} is lost with the node that carried it on: verify again`);
        }
        return view;
      },
      over: ({ state }) => state !== 'running',
      show: (view) => {
        line.show(progressText(view, performance.now() - begun_ms), Math.floor(doneShare(view) * PERCENT));
        lines?.show(view);
      },
    });
  } finally {
    line.end();
  }
}
