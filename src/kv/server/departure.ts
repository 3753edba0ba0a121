/**
 * A node that has left the cluster for good: it was drained, perhaps while it was away, and its name is never used again
 * (F24). It learns of it from the map, or from the first of the others who turns it away. Then it says so once, stops talking
 * to anybody and refuses everything it is asked; it neither ends, which whoever watches over processes would answer by
 * starting it again, nor touches its files: they may be the last copy of something, and whether they are is for a person to say.
 */
import type { EventSink, NodeId, ReplicaHost } from '../../raft/index.js';
import { CONTROLLER_GROUP, shardName } from '../../shardctrl/index.js';
import type { AdminService, Answer, ApiError, KvService, ReadinessView } from './api.js';

export interface DepartureOptions {
  readonly self: NodeId;
  readonly host: Pick<ReplicaHost, 'groups'>;
  readonly event: EventSink;
  /** Runs once. */
  readonly left: () => void;
}

const AGAIN = 'to use this machine again, start a node with a new name and an empty data_dir';

export class Departure {
  readonly #options: DepartureOptions;
  #reason: string | null = null;

  constructor(options: DepartureOptions) {
    this.#options = options;
  }

  /** In words for whoever asks something of this node; null: it belongs to the cluster, as far as it knows. */
  get reason(): string | null {
    return this.#reason;
  }

  /** No effect but the first time: there is no way back. */
  learn(): void {
    if (this.#reason !== null) return;
    const { self, host, event, left } = this.#options;
    const held = host.groups().map((group) => (group === CONTROLLER_GROUP ? 'the controller' : shardName(group)));
    const files =
      held.length === 0
        ? 'It holds no replica and can be stopped'
        : `Its files stay as they are (replicas of ${held.join(', ')}) until somebody removes its data_dir`;
    this.#reason = `${self} has left this cluster for good and serves nothing any more. ${files}; ${AGAIN}`;
    event('warn', this.#reason, {});
    left();
  }
}

export interface Services {
  readonly kv: KvService;
  readonly admin: AdminService;
}

/** The same services, until the node has left: then each call is refused with the reason. */
export function untilDeparted({ kv, admin }: Services, departure: Departure): Services {
  const refusal = (): { readonly ok: false; readonly error: ApiError } | null =>
    departure.reason === null ? null : { ok: false, error: { code: 'unavailable', detail: departure.reason } };
  const guard =
    <A extends readonly unknown[], T>(call: (...request: A) => Promise<Answer<T>>) =>
    (...request: A): Promise<Answer<T>> => {
      const refused = refusal();
      return refused === null ? call(...request) : Promise.resolve(refused);
    };
  return {
    kv: {
      epoch: () => kv.epoch(),
      execute: (request, context, done) => {
        const refused = refusal();
        if (refused === null) kv.execute(request, context, done);
        else done({ kind: 'failed', error: refused.error });
      },
      list: (request, context) => {
        const refused = refusal();
        return refused === null ? kv.list(request, context) : Promise.resolve({ kind: 'failed', error: refused.error });
      },
    },
    admin: {
      cluster: guard(admin.cluster.bind(admin)),
      map: guard(admin.map.bind(admin)),
      locate: (key) => refusal() ?? admin.locate(key),
      reshard: guard(admin.reshard.bind(admin)),
      move: guard(admin.move.bind(admin)),
      hot: guard(admin.hot.bind(admin)),
      balance: guard(admin.balance.bind(admin)),
      startBalance: guard(admin.startBalance.bind(admin)),
      setBalance: guard(admin.setBalance.bind(admin)),
      steerPlan: guard(admin.steerPlan.bind(admin)),
      plan: guard(admin.plan.bind(admin)),
      receipts: guard(admin.receipts.bind(admin)),
      addNode: guard(admin.addNode.bind(admin)),
      removeNode: guard(admin.removeNode.bind(admin)),
      changeMembers: guard(admin.changeMembers.bind(admin)),
      members: guard(admin.members.bind(admin)),
      transferLeader: guard(admin.transferLeader.bind(admin)),
      settings: guard(admin.settings.bind(admin)),
      changeSettings: guard(admin.changeSettings.bind(admin)),
      verify: guard(admin.verify.bind(admin)),
      verification: guard(admin.verification.bind(admin)),
      verifications: guard(admin.verifications.bind(admin)),
      cancelVerification: guard(admin.cancelVerification.bind(admin)),
      readiness: () => (departure.reason === null ? admin.readiness() : notReady(departure.reason)),
    },
  };
}

const notReady = (detail: string): ReadinessView => ({
  ready: false,
  checks: [{ name: 'cluster', ok: false, detail }],
});
