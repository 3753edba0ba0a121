/**
 * Between simulated clients and simulated nodes: requests and answers that are late, get lost or die with a process. What
 * the node does with a request is the production code of the API, without sockets.
 */
import { type HttpRequest, type HttpResponse, type HttpSend, NotSent } from '../../src/kv/client/index.js';
import { handleApi } from '../../src/kv/http/index.js';
import type { ClusterNode } from '../../src/kv/server/index.js';
import type { SimClock, SimScheduler } from './fakes/clock.js';
import type { SimRandom } from './fakes/random.js';

/** A machine as its clients meet it. */
export interface HttpHost {
  /** null while it is down. */
  readonly node: ClusterNode | null;
  readonly clock: SimClock | null;
  /** Runs once, when the present process dies. The answer cancels it. */
  onCrash(run: () => void): () => void;
}

export interface HttpFaults {
  /** Probability that a request, or an answer, never arrives. */
  loss: number;
  delayMax_ms: number;
}

export class SimHttp {
  readonly #scheduler: SimScheduler;
  readonly #nodes: ReadonlyMap<string, HttpHost>;
  readonly #random: SimRandom;
  readonly faults: HttpFaults = { loss: 0, delayMax_ms: 1 };

  constructor(scheduler: SimScheduler, nodes: ReadonlyMap<string, HttpHost>, random: SimRandom) {
    this.#scheduler = scheduler;
    this.#nodes = nodes;
    this.#random = random.fork('http');
  }

  readonly send: HttpSend = (request) =>
    new Promise((resolve, reject) => {
      const timer = this.#scheduler.after(request.timeout_ms, () => reject(new Error('timed out')));
      const settle = (act: () => void): void => {
        this.#scheduler.after(this.#delay(), () => {
          timer.cancel();
          act();
        });
      };
      const url = new URL(request.url);
      this.#scheduler.after(this.#delay(), () => {
        const sim = this.#nodes.get(url.hostname);
        const node = sim?.node ?? null;
        if (sim === undefined || node === null) {
          settle(() => reject(new NotSent(`${url.hostname} refuses connections`)));
          return;
        }
        if (this.#lost()) return;
        let gone = false;
        const offCrash = sim.onCrash(() => {
          gone = true;
          settle(() => reject(new Error('connection reset')));
        });
        sim.clock?.run(() => {
          answer(node, request, url).then(
            (response) => {
              // What a process thinks of in the step that it died in nobody hears.
              if (gone) return;
              offCrash();
              if (!this.#lost()) settle(() => resolve(response));
            },
            (error: unknown) => {
              if (!gone) settle(() => reject(error));
            },
          );
        });
      });
    });

  #delay(): number {
    return this.#random.between(0.05, this.faults.delayMax_ms);
  }

  #lost(): boolean {
    return this.#random.chance(this.faults.loss);
  }
}

async function answer(node: ClusterNode, request: HttpRequest, url: URL): Promise<HttpResponse> {
  const path = request.url.slice(request.url.indexOf('/', 8));
  if (path === '/v1/cluster') return json(node, await node.admin.cluster(1_000));
  if (url.pathname === '/v1/cluster/map') return json(node, await node.admin.map(null, null, 1_000));
  const response = await handleApi(node.kv, {
    method: request.method,
    url: path,
    headers: { ...request.headers, host: url.host },
    body: Buffer.from(request.body ?? Buffer.alloc(0)),
  });
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(response.headers)) headers[name.toLowerCase()] = String(value);
  return { status: response.status, headers, body: response.body };
}

function json(
  node: ClusterNode,
  answer: { ok: true; value: unknown } | { ok: false; error: { code: string; detail: string } },
): HttpResponse {
  const headers = { 'content-type': 'application/json', 'x-quorate-epoch': String(node.kv.epoch()) };
  return answer.ok
    ? { status: 200, headers, body: Buffer.from(JSON.stringify(answer.value)) }
    : { status: 503, headers, body: Buffer.from(JSON.stringify({ ...answer.error, status: 503 })) };
}
