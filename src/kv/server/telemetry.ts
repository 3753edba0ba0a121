/**
 * Metrics through `@opentelemetry/api`; the SDK and the Prometheus exporter are wired here and nowhere else. Counting a
 * request on the hot path costs an addition: the instruments are fed when somebody asks (`/metrics`).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Meter, metrics } from '@opentelemetry/api';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import type { LogStorage } from '../../raft/index.js';
import type { ApiMetrics, ApiOperation } from '../http/index.js';
import type { ClusterNode } from './cluster-node.js';
import { CONTROLLER } from './controller-caller.js';

/** Upper bounds of the latency buckets, in milliseconds. */
const BOUNDS_MS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000] as const;

interface Series {
  readonly operation: ApiOperation;
  readonly status: number;
  count: number;
  sum_ms: number;
  readonly buckets: Float64Array;
}

/** Counts of answered requests by operation and status, and a latency histogram of each. */
class RequestCounts implements ApiMetrics {
  readonly #series = new Map<string, Map<number, Series>>();

  answered(operation: ApiOperation, status: number, duration_ms: number): void {
    const series = this.#series.get(operation)?.get(status) ?? this.#open(operation, status);
    series.count++;
    series.sum_ms += duration_ms;
    let bucket = 0;
    while (bucket < BOUNDS_MS.length && duration_ms > BOUNDS_MS[bucket]!) bucket++;
    series.buckets[bucket]!++;
  }

  #open(operation: ApiOperation, status: number): Series {
    const series = { operation, status, count: 0, sum_ms: 0, buckets: new Float64Array(BOUNDS_MS.length + 1) };
    const byStatus = this.#series.get(operation) ?? new Map<number, Series>();
    this.#series.set(operation, byStatus.set(status, series));
    return series;
  }

  *all(): Generator<Series> {
    for (const byStatus of this.#series.values()) yield* byStatus.values();
  }
}

export interface Telemetry {
  readonly requests: ApiMetrics;
  readonly prometheus: (req: IncomingMessage, res: ServerResponse) => void;
  /** Registers what is read off the node when somebody asks. */
  observe(node: ClusterNode, log: LogStorage): void;
  close(): Promise<void>;
}

export function startTelemetry(nodeId: string): Telemetry {
  const exporter = new PrometheusExporter({ preventServerStart: true, prefix: 'quorate' });
  const provider = new MeterProvider({ readers: [exporter] });
  metrics.setGlobalMeterProvider(provider);
  const meter = metrics.getMeter('quorate');
  const requests = new RequestCounts();
  observeRequests(meter, requests);
  return {
    requests,
    prometheus: (req, res) => exporter.getMetricsRequestHandler(req, res),
    observe: (node, log) => observeNode(meter, nodeId, node, log),
    close: () => provider.shutdown(),
  };
}

function observeRequests(meter: Meter, requests: RequestCounts): void {
  const total = meter.createObservableCounter('http_requests', { description: 'Requests answered' });
  const seconds = meter.createObservableCounter('http_request_seconds_sum', {
    description: 'Time spent on requests',
    unit: 's',
  });
  const buckets = meter.createObservableCounter('http_request_milliseconds_bucket', {
    description: 'Requests answered within le milliseconds (cumulative)',
  });
  meter.addBatchObservableCallback(
    (result) => {
      for (const series of requests.all()) {
        const labels = { operation: series.operation, status: series.status };
        result.observe(total, series.count, labels);
        result.observe(seconds, series.sum_ms / 1000, labels);
        let cumulative = 0;
        for (let i = 0; i < series.buckets.length; i++) {
          cumulative += series.buckets[i]!;
          result.observe(buckets, cumulative, { ...labels, le: i < BOUNDS_MS.length ? String(BOUNDS_MS[i]) : '+Inf' });
        }
      }
    },
    [total, seconds, buckets],
  );
}

function observeNode(meter: Meter, node: string, cluster: ClusterNode, log: LogStorage): void {
  const gauge = (name: string, description: string) => meter.createObservableGauge(name, { description });
  const epoch = gauge('map_epoch', 'Epoch of the newest shard map known here');
  const active = gauge('operations_active', 'Key operations under way on this node');
  const leader = gauge('raft_leader', '1 where this node leads the group');
  const term = gauge('raft_term', 'Current term');
  const applied = gauge('raft_applied_index', 'Applied index');
  const damaged = gauge('raft_damaged', '1 where the replica is damaged and does not serve');
  const logBytes = gauge('log_bytes', 'Bytes of the write-ahead log on disk');
  const segments = gauge('log_segments', 'Segments of the write-ahead log');
  const syncs = meter.createObservableCounter('log_syncs', { description: 'Syncs of the write-ahead log' });
  const records = meter.createObservableCounter('log_records', {
    description: 'Records written to the write-ahead log',
  });
  meter.addBatchObservableCallback(
    (result) => {
      result.observe(epoch, cluster.maps.epoch, { node });
      result.observe(active, cluster.router.active, { node });
      for (const group of cluster.host.groups()) {
        const replica = cluster.host.get(group);
        if (replica === undefined) continue;
        const labels = { node, group: group === CONTROLLER ? 'controller' : `s${group}` };
        result.observe(leader, replica.isLeader ? 1 : 0, labels);
        result.observe(term, replica.term, labels);
        result.observe(applied, replica.applied, labels);
        result.observe(damaged, replica.damage === null ? 0 : 1, labels);
      }
      const stats = log.stats();
      result.observe(logBytes, stats.bytes, { node });
      result.observe(segments, stats.segments, { node });
      result.observe(syncs, stats.syncs, { node });
      result.observe(records, stats.records, { node });
    },
    [epoch, active, leader, term, applied, damaged, logBytes, segments, syncs, records],
  );
}
