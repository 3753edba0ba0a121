/**
 * Metrics through `@opentelemetry/api`; the SDK and the Prometheus exporter are wired here and nowhere else. What the node
 * is doing is read off it when somebody asks (`/metrics`).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Meter, metrics } from '@opentelemetry/api';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import type { LogStorage } from '../../raft/index.js';
import { type ApiMetrics, createOtelApiMetrics } from '../http/index.js';
import type { ClusterNode } from './cluster-node.js';
import { CONTROLLER } from './controller-caller.js';

export interface Telemetry {
  readonly requests: ApiMetrics;
  readonly prometheus: (req: IncomingMessage, res: ServerResponse) => void;
  /** Registers what is read off the node when somebody asks. */
  observe(node: ClusterNode, log: LogStorage): void;
  close(): Promise<void>;
}

export function startTelemetry(nodeId: string): Telemetry {
  const exporter = new PrometheusExporter({ preventServerStart: true });
  const provider = new MeterProvider({ readers: [exporter] });
  metrics.setGlobalMeterProvider(provider);
  const meter = metrics.getMeter('quorate');
  return {
    requests: createOtelApiMetrics(meter),
    prometheus: (req, res) => exporter.getMetricsRequestHandler(req, res),
    observe: (node, log) => observeNode(meter, nodeId, node, log),
    close: () => provider.shutdown(),
  };
}

function observeNode(meter: Meter, node: string, cluster: ClusterNode, log: LogStorage): void {
  const gauge = (name: string, description: string) => meter.createObservableGauge(`quorate_${name}`, { description });
  const epoch = gauge('map_epoch', 'Epoch of the newest shard map known here');
  const active = gauge('operations_active', 'Key operations under way on this node');
  const leader = gauge('raft_leader', '1 where this node leads the group');
  const term = gauge('raft_term', 'Current term');
  const applied = gauge('raft_applied_index', 'Applied index');
  const damaged = gauge('raft_damaged', '1 where the replica is damaged and does not serve');
  const reads = gauge('shard_reads_per_second', 'Reads a second that replicas here carry out, decayed by half in 60 s');
  const writes = gauge('shard_writes_per_second', 'The same of writes');
  const logBytes = gauge('log_bytes', 'Bytes of the write-ahead log on disk');
  const segments = gauge('log_segments', 'Segments of the write-ahead log');
  const syncs = meter.createObservableCounter('quorate_log_syncs', { description: 'Syncs of the write-ahead log' });
  const records = meter.createObservableCounter('quorate_log_records', {
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
        if (group === CONTROLLER) continue;
        const load = cluster.load.sum(cluster.maps.shard(group)?.slots ?? []);
        result.observe(reads, load.reads, labels);
        result.observe(writes, load.writes, labels);
      }
      const stats = log.stats();
      result.observe(logBytes, stats.bytes, { node });
      result.observe(segments, stats.segments, { node });
      result.observe(syncs, stats.syncs, { node });
      result.observe(records, stats.records, { node });
    },
    [epoch, active, leader, term, applied, damaged, reads, writes, logBytes, segments, syncs, records],
  );
}
