/** Whether a whole development cluster can take requests: every node ready, every shard and the controller led. */
import { BasicClient, type HttpResponse, type HttpSend } from '../../client/basic/index.js';
import type { ClusterView } from '../../client/index.js';

const PROBE_MS = 1_000;

export type Readiness =
  | { readonly ready: true; readonly view: ClusterView }
  | { readonly ready: false; readonly waitingFor: string };

const waitingFor = (what: string): Readiness => ({ ready: false, waitingFor: what });

function judge(view: ClusterView): Readiness {
  if (view.controller.leader === null) return waitingFor('the controller has no leader');
  if (view.shards.length === 0) return waitingFor('there is no shard yet');
  const headless = view.shards.find((shard) => shard.leader === null);
  return headless === undefined ? { ready: true, view } : waitingFor(`shard ${headless.id} has no leader`);
}

/** As the node says; nothing where it does not. */
function whyNot({ body }: HttpResponse): string {
  try {
    const { detail } = JSON.parse(body.toString('utf8')) as { readonly detail?: unknown };
    return typeof detail === 'string' ? `: ${detail}` : '';
  } catch {
    return '';
  }
}

/** Asks each node of `bases` in turn; never throws. */
export async function probeCluster(bases: readonly string[], send: HttpSend): Promise<Readiness> {
  let last: Readiness = waitingFor('no node is running');
  for (const base of bases) {
    try {
      const answer = await send({ method: 'GET', url: `${base}/readyz`, headers: {}, timeout_ms: PROBE_MS });
      if (answer.status !== 200) return waitingFor(`${base} is not ready${whyNot(answer)}`);
      const client = new BasicClient({ endpoints: [base], send, timeout_ms: PROBE_MS });
      last = judge(await client.cluster());
      if (!last.ready) return last;
    } catch {
      return waitingFor(`${base} does not answer`);
    }
  }
  return last;
}
