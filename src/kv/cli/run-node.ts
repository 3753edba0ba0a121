/**
 * The life of a node's process: up to a signal, the end of its supervisor, or a reason why it cannot go on.
 */

import type { NodeConfig } from '../server/config.js';
import { startNode } from '../server/index.js';
import { explain } from './cli-error.js';
import { DEV_CHILD_VARIABLE } from './dev-child.js';
import { say } from './output.js';

/** How long a node may take to stop when nobody is left to kill it. */
const ORPHAN_GRACE_MS = 4_000;
/** 128 + SIGINT or SIGTERM, as shells count. */
const SIGNAL_EXIT = { SIGINT: 130, SIGTERM: 143 } as const;

type Leaving = { readonly kind: 'asked' } | { readonly kind: 'orphaned' };

/** Resolves at the first reason to leave; a second signal ends the process at once. */
function reasonToLeave(): Promise<Leaving> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (asked) process.exit(SIGNAL_EXIT[signal]);
        asked = true;
        resolve({ kind: 'asked' });
      });
    }
    // Nodes of `quorate dev` end with it, however it ends: the kernel closes the channel between them.
    if (process.env[DEV_CHILD_VARIABLE] !== '1' || process.channel === undefined) return;
    if (!process.connected) resolve({ kind: 'orphaned' });
    process.on('disconnect', () => resolve({ kind: 'orphaned' }));
  });
}

/** The channel to a supervisor would keep a process alive whose node never came up. */
function endOfStart(error: unknown): never {
  const { exit, line } = explain(error);
  say(`quorate: ${line}`);
  process.exit(exit);
}

/** Ends the process: 0 when the node has stopped as asked, 1 where it could not start or go on. */
export async function runNode(config: NodeConfig): Promise<never> {
  const leaving = reasonToLeave();
  // A signal during the start ends it: nothing has been promised to anybody yet.
  const started = await Promise.race([startNode(config).catch(endOfStart), leaving.then(() => null)]);
  if (started === null) process.exit(0);
  say(`node ${config.id} listens on ${started.http}`);
  const end = await Promise.race([
    leaving,
    started.closed.then(
      () => ({ kind: 'closed' as const }),
      (error: unknown) => ({ kind: 'failed' as const, error }),
    ),
  ]);
  if (end.kind === 'failed') {
    // Nothing more may be written or promised: not even an orderly end (F33).
    say(`quorate: node ${config.id} cannot go on: ${explain(end.error).line}`);
    process.exit(1);
  }
  if (end.kind === 'orphaned') setTimeout(() => process.exit(1), ORPHAN_GRACE_MS).unref();
  await started.close();
  // Whatever else would keep the process alive (the channel to the supervisor) no longer matters.
  process.exit(0);
}
