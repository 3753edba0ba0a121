/**
 * The hot path: `/v1/kv` straight on `node:http`, in front of Express, which answers six times fewer small requests a second
 * (architecture.md, decision 5). Per request: one parsed head, one callback, one array of headers, one write.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { KvService } from '../server/api.js';
import { BodyBudget, declaredLength, type IntakeLimits, type IntakeResult, takeBody } from './body-intake.js';
import { type HttpResponse, problemResponse, type Refusal, refusalResponse, refuse } from './http-response.js';
import { runKv, runList } from './kv-exchange.js';
import { EMPTY_BODY, type KvHead, parseKvHead, valueTooLarge } from './kv-request.js';
import { parseListHead } from './list-request.js';
import type { ApiOperation } from './ports.js';
import { requestIdOf } from './request-headers.js';
import type { Call, Responder } from './responder.js';

const OPERATIONS: Readonly<Record<KvHead['method'], ApiOperation>> = {
  GET: 'get',
  HEAD: 'head',
  PUT: 'put',
  DELETE: 'delete',
};

export class KvListener {
  readonly #kv: KvService;
  readonly #responder: Responder;
  readonly #limits: IntakeLimits;

  constructor(kv: KvService, responder: Responder, config: { valueBytes: number; inflightBytes: number }) {
    this.#kv = kv;
    this.#responder = responder;
    this.#limits = { valueBytes: config.valueBytes, budget: new BodyBudget(config.inflightBytes) };
  }

  get inflight_bytes(): number {
    return this.#limits.budget.inflight_bytes;
  }

  /** `expects`: the client waits for `100 Continue` before it sends the body. */
  onKey(req: IncomingMessage, res: ServerResponse, target: string, expects: boolean): void {
    const began_ms = performance.now();
    const head = parseKvHead(req.method ?? '', target, req.headers);
    if (!head.ok) {
      this.#refuse(callOf(req, res, 'invalid', began_ms), head, expects);
      return;
    }
    const call: Call = {
      req,
      res,
      operation: OPERATIONS[head.method],
      requestId: head.context.requestId,
      began_ms,
    };
    if (head.method === 'PUT') this.#put(call, head, expects);
    else this.#run(call, head, EMPTY_BODY, 0);
  }

  onList(req: IncomingMessage, res: ServerResponse, target: string, expects: boolean): void {
    const began_ms = performance.now();
    const head = parseListHead(req.method ?? '', target, req.headers);
    if (!head.ok) {
      this.#refuse(callOf(req, res, 'invalid', began_ms), head, expects);
      return;
    }
    const call: Call = { req, res, operation: 'list', requestId: head.context.requestId, began_ms };
    runList(this.#kv, head).then(
      (response) => this.#responder.send(call, response),
      (error: unknown) => this.#failed(call, error),
    );
  }

  /** Answers before the body was read; reads on in the way that lets the client see the answer. */
  #refuse(call: Call, refusal: Refusal, expects: boolean): void {
    const response = refusalResponse(refusal, this.#kv.epoch());
    const declared_bytes = declaredLength(call.req);
    if (expects) this.#responder.sendAndClose(call, response);
    else if (declared_bytes === null || declared_bytes > this.#limits.valueBytes) {
      this.#responder.sendAndLinger(call, response);
    } else this.#responder.send(call, response);
  }

  #put(call: Call, head: KvHead, expects: boolean): void {
    const { valueBytes, budget } = this.#limits;
    const declared_bytes = declaredLength(call.req);
    if (declared_bytes !== null && declared_bytes > valueBytes) {
      this.#refuse(call, valueTooLarge(valueBytes), expects);
    } else if (declared_bytes !== null && !budget.fits(declared_bytes)) {
      this.#refuse(call, OVERLOADED, expects);
    } else {
      if (expects) call.res.writeContinue();
      takeBody(call.req, declared_bytes, this.#limits, (result) => this.#onBody(call, head, result));
    }
  }

  #onBody(call: Call, head: KvHead, result: IntakeResult): void {
    if (result.kind === 'whole') {
      this.#run(call, head, result.body, result.body.length);
    } else if (result.kind !== 'aborted') {
      const refusal = result.kind === 'too_large' ? valueTooLarge(this.#limits.valueBytes) : OVERLOADED;
      this.#responder.sendAndLinger(call, refusalResponse(refusal, this.#kv.epoch()));
    }
  }

  #run(call: Call, head: KvHead, body: Buffer, taken_bytes: number): void {
    let answered = false;
    const answer = (response: HttpResponse): void => {
      if (answered) throw new Error('invariant: a request was answered twice');
      answered = true;
      if (taken_bytes > 0) this.#limits.budget.give(taken_bytes);
      try {
        this.#responder.send(call, response);
      } catch (error) {
        this.#failed(call, error);
      }
    };
    try {
      runKv(this.#kv, head, body, answer);
    } catch (error) {
      if (answered) throw error;
      this.#responder.failed(call, error);
      answer(this.#internal());
    }
  }

  #failed(call: Call, error: unknown): void {
    this.#responder.failed(call, error);
    if (!call.res.headersSent) this.#responder.send(call, this.#internal());
  }

  #internal(): HttpResponse {
    return problemResponse(
      { code: 'internal', detail: 'this node failed; its log has the request id' },
      this.#kv.epoch(),
    );
  }
}

const OVERLOADED = refuse(
  'overloaded',
  'this node holds as many bytes of unfinished writes as it may; retry a little later',
);

function callOf(req: IncomingMessage, res: ServerResponse, operation: ApiOperation, began_ms: number): Call {
  return { req, res, operation, requestId: requestIdOf(req.headers), began_ms };
}
