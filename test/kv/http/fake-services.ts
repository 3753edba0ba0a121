/**
 * A node's services over an in-memory map: enough of the store's rules to see what the API asks of it and what it makes of
 * the answers. Not a model of the store: no shards, no log, no clock of its own.
 */
import type {
  AddNodeRequest,
  AdminService,
  Answer,
  BalanceSettingsRequest,
  BalanceView,
  HotReport,
  KvOutcome,
  KvRequest,
  KvService,
  ListedItem,
  ListOutcome,
  ListRangeRequest,
  LocateView,
  MapView,
  MembersRequest,
  MembersView,
  MoveRequest,
  NodeView,
  PlanAction,
  PlanRequest,
  PlanView,
  ReadinessView,
  ReceiptsView,
  RequestContext,
  ReshardRequest,
  SettingsRequest,
  VerifyRequest,
  VerifyView,
} from '../../../src/kv/server/api.js';
import type { Condition } from '../../../src/kv/store/index.js';

interface Stored {
  key: Buffer;
  value: Buffer;
  contentType: string;
  revision: number;
  version: number;
  ttl_ms: number;
}

export class FakeKv implements KvService {
  readonly records = new Map<string, Stored>();
  /** Everything that was asked, in order. */
  readonly requests: { request: KvRequest; context: RequestContext }[] = [];
  readonly lists: { request: ListRangeRequest; context: RequestContext }[] = [];
  /** Answers instead of the map, once set. */
  scripted: KvOutcome | null = null;
  /** Set: requests wait here until the test lets them go. */
  held: (() => void)[] | null = null;
  throws: Error | null = null;
  mapEpoch = 7;
  #revision = 0;

  epoch(): number {
    return this.mapEpoch;
  }

  execute(request: KvRequest, context: RequestContext, done: (outcome: KvOutcome) => void): void {
    this.requests.push({ request, context });
    if (this.throws !== null) throw this.throws;
    const answer = (): void => done(this.scripted ?? this.#apply(request));
    if (this.held !== null) this.held.push(answer);
    else answer();
  }

  #apply(request: KvRequest): KvOutcome {
    const name = Buffer.from(request.key).toString('hex');
    const old = this.records.get(name);
    if (request.kind === 'get') {
      if (old === undefined) return { kind: 'missing', shard: 's1' };
      const expiresIn_ms = old.ttl_ms === 0 ? null : old.ttl_ms;
      return { kind: 'found', ...old, expiresIn_ms, shard: 's1' };
    }
    if (!holds(request.condition, old))
      return { kind: 'precondition_failed', revision: old?.revision ?? null, shard: 's1' };
    if (request.kind === 'delete') {
      if (old === undefined) return { kind: 'missing', shard: 's1' };
      this.records.delete(name);
      return { kind: 'deleted', revision: ++this.#revision, shard: 's1' };
    }
    const record: Stored = {
      key: Buffer.from(request.key),
      value: Buffer.from(request.value),
      contentType: request.contentType,
      revision: ++this.#revision,
      version: (old?.version ?? 0) + 1,
      ttl_ms: request.ttl_ms,
    };
    this.records.set(name, record);
    return {
      kind: 'stored',
      created: old === undefined,
      revision: record.revision,
      version: record.version,
      shard: 's1',
    };
  }

  async list(request: ListRangeRequest, context: RequestContext): Promise<ListOutcome> {
    this.lists.push({ request, context });
    if (this.throws !== null) throw this.throws;
    if (this.scripted?.kind === 'failed') return this.scripted;
    const inside = [...this.records.values()]
      .filter(({ key }) => key.compare(request.start) >= 0 && (request.end === null || key.compare(request.end) < 0))
      .sort((a, b) => a.key.compare(b.key));
    const items: ListedItem[] = inside.slice(0, request.limit).map((record) => ({
      ...record,
      value: request.keysOnly ? Buffer.alloc(0) : record.value,
      expires_ms: 0,
      expiresIn_ms: record.ttl_ms === 0 ? null : record.ttl_ms,
    }));
    return { kind: 'page', items, next: inside[request.limit]?.key ?? null };
  }
}

function holds(condition: Condition, old: Stored | undefined): boolean {
  switch (condition.kind) {
    case 'none':
      return true;
    case 'exists':
      return old !== undefined;
    case 'absent':
      return old === undefined;
    case 'revision':
      return old?.revision === condition.revision;
  }
}

export const RECEIPTS: ReceiptsView = { id: 'p1', receipts: [], next: 1_000 };

export const PLAN: PlanView = {
  id: 'p1',
  state: 'planned',
  created: '2026-11-02T10:00:00.000Z',
  moves: [
    {
      id: 'm1',
      slots: '0-99',
      slot_count: 100,
      from: 's1',
      to: 's2',
      phase: 'planned',
      keys: null,
      bytes: null,
      rate: null,
      eta_ms: null,
      pause_ms: null,
      checksum: null,
    },
  ],
};

const MAP: MapView = {
  cluster_id: 'c1',
  epoch: 7,
  shards: [{ id: 's1', slots: '0-16383', members: ['n1'] }],
  nodes: [{ id: 'n1', http: '127.0.0.1:7001', peer: '127.0.0.1:7101', labels: {} }],
};

export const NODE: NodeView = {
  id: 'n4',
  http: '127.0.0.1:7004',
  peer: '127.0.0.1:7104',
  labels: { zone: 'a' },
  state: 'healthy',
  since: '2026-11-02T10:00:00.000Z',
};

export const MEMBERS: MembersView = {
  id: 's1',
  members: ['n1', 'n2', 'n3'],
  joining: ['n4'],
  leaving: ['n1'],
  waits_for: 'n4 is being filled',
};

export const BALANCE: BalanceView = {
  auto: false,
  state: 'unbalanced',
  detail: 's1 carries 71 % of the load',
  limit_percent: 30,
  hold_s: 120,
  overloaded_s: 200,
  shards: [
    { id: 's1', requests_per_s: 71, load_share: 0.71, bytes: 10, bytes_share: 0, fair_share: 0.5 },
    { id: 's2', requests_per_s: 29, load_share: 0.29, bytes: 20, bytes_share: 0, fair_share: 0.5 },
  ],
  silent_shards: [],
  plan: PLAN,
};

export const HOT: HotReport = {
  half_life_s: 60,
  shards: [{ id: 's1', reads_per_s: 60, writes_per_s: 11, share: 1 }],
  slots: [{ slot: 5, shard: 's1', reads_per_s: 60, writes_per_s: 11, share: 1 }],
  keys: [
    { key: Buffer.from('{a}1'), slot: 5, shard: 's1', requests_per_s: 40, error_per_s: 2 },
    { key: Buffer.from([0xff]), slot: 5, shard: 's1', requests_per_s: 20, error_per_s: 3 },
  ],
  silent_shards: [],
  silent_nodes: ['n3'],
};

export const VERIFICATION: VerifyView = {
  id: 'n1-0a1b2c3d',
  state: 'running',
  result: null,
  started: '2026-11-02T10:00:00.000Z',
  ended: null,
  mib_per_s: 8,
  shards: [],
  plan: null,
};

export class FakeAdmin implements AdminService {
  readonly calls: unknown[][] = [];
  failure: Answer<never> | null = null;
  shownPlan: PlanView = PLAN;
  throws: Error | null = null;
  /** What a balance that is asked for comes to. */
  balanced: PlanView['state'] = 'running';
  view: ReadinessView = { ready: true, checks: [{ name: 'map', ok: true, detail: 'epoch 7' }] };

  #answer<T>(call: unknown[], value: T): Answer<T> {
    this.calls.push(call);
    if (this.throws !== null) throw this.throws;
    return this.failure ?? { ok: true, value };
  }

  async cluster(timeout_ms: number) {
    const controller = { leader: 'n1', term: 3, members: ['n1'] };
    const value = {
      cluster_id: 'c1',
      epoch: 7,
      health: 'all is well',
      nodes: [],
      shards: [],
      controller,
      balance: null,
    };
    return this.#answer(['cluster', timeout_ms], { ...value, missing_replicas: [] });
  }

  async map(epoch: number | null, waitEpoch: number | null, timeout_ms: number) {
    return this.#answer(['map', epoch, waitEpoch, timeout_ms], MAP);
  }

  locate(key: Buffer): Answer<LocateView> {
    const value = { slot: 12_182, shard: 's1', leader: 'n1', members: ['n1'], epoch: 7 };
    return this.#answer(['locate', key.toString('hex')], value);
  }

  async reshard(request: ReshardRequest, timeout_ms: number) {
    return this.#answer(['reshard', request, timeout_ms], PLAN);
  }

  async move(request: MoveRequest, timeout_ms: number) {
    return this.#answer(['move', request, timeout_ms], PLAN);
  }

  async steerPlan(id: string, action: PlanAction, timeout_ms: number) {
    return this.#answer(['steerPlan', id, action, timeout_ms], this.shownPlan);
  }

  async receipts(id: string, after: number, limit: number, timeout_ms: number) {
    return this.#answer(['receipts', id, after, limit, timeout_ms], RECEIPTS);
  }

  async plan(id: string | null, timeout_ms: number) {
    return this.#answer(['plan', id, timeout_ms], this.shownPlan);
  }

  async hot(limit: number, timeout_ms: number) {
    return this.#answer(['hot', limit, timeout_ms], HOT);
  }

  async balance(timeout_ms: number) {
    return this.#answer(['balance', timeout_ms], BALANCE);
  }

  async startBalance(request: PlanRequest, timeout_ms: number) {
    return this.#answer(['startBalance', request, timeout_ms], { ...PLAN, state: this.balanced });
  }

  async setBalance(request: BalanceSettingsRequest, timeout_ms: number) {
    return this.#answer(['setBalance', request, timeout_ms], { auto: true, limit_percent: 30, hold_s: 120 });
  }

  async addNode(request: AddNodeRequest, timeout_ms: number) {
    return this.#answer(['addNode', request, timeout_ms], NODE);
  }

  async removeNode(id: string, timeout_ms: number) {
    return this.#answer(['removeNode', id, timeout_ms], { ...NODE, id, state: 'draining' });
  }

  async changeMembers(shard: string, request: MembersRequest, timeout_ms: number) {
    return this.#answer(['changeMembers', shard, request, timeout_ms], MEMBERS);
  }

  async members(shard: string, timeout_ms: number) {
    return this.#answer(['members', shard, timeout_ms], MEMBERS);
  }

  async transferLeader(shard: string, to: string, timeout_ms: number) {
    return this.#answer(['transferLeader', shard, to, timeout_ms], { id: shard, leader: to, term: 4 });
  }

  async settings(timeout_ms: number) {
    return this.#answer(['settings', timeout_ms], { rebuild_after: '10m' });
  }

  async changeSettings(request: SettingsRequest, timeout_ms: number) {
    return this.#answer(['changeSettings', request, timeout_ms], { rebuild_after: '1h' });
  }

  async verify(request: VerifyRequest, timeout_ms: number) {
    return this.#answer(['verify', request, timeout_ms], VERIFICATION);
  }

  async verification(id: string, timeout_ms: number) {
    return this.#answer(['verification', id, timeout_ms], { ...VERIFICATION, id });
  }

  async verifications(timeout_ms: number) {
    const { id, state, result, started } = VERIFICATION;
    return this.#answer(['verifications', timeout_ms], { runs: [{ id, state, result, started }], silent: ['n3'] });
  }

  async cancelVerification(id: string, timeout_ms: number) {
    return this.#answer(['cancelVerification', id, timeout_ms], { ...VERIFICATION, id, state: 'cancelled' as const });
  }

  readiness(): ReadinessView {
    return this.view;
  }
}
