/**
 * `ApiMetrics` over OpenTelemetry's API. Requests are counted in plain numbers and read when a reader collects: the SDK's
 * own `add` hashes its attributes on every call, which a handler of tens of thousands of requests a second would feel. The
 * histogram of durations has no such form, so of the hot operations every eighth request is recorded; its counts are a
 * sample, the counter's are exact.
 *
 *   quorate_http_requests{operation,status}           counter
 *   quorate_http_request_duration{operation}  (ms)    histogram
 */
import type { Attributes, Meter } from '@opentelemetry/api';
import type { ApiMetrics, ApiOperation } from './ports.js';

const SAMPLE = 8;

interface Counted {
  readonly attributes: Attributes;
  count: number;
}

export function createOtelApiMetrics(meter: Meter): ApiMetrics {
  const byOperation = new Map<ApiOperation, Map<number, Counted>>();
  const durationAttributes = new Map<ApiOperation, Attributes>();
  const durations = meter.createHistogram('quorate_http_request_duration', {
    description: 'Time from a parsed request to its answer; one in eight of the hot operations',
    unit: 'ms',
    advice: { explicitBucketBoundaries: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 8_000] },
  });
  const requests = meter.createObservableCounter('quorate_http_requests', { description: 'Requests answered' });
  requests.addCallback((result) => {
    for (const byStatus of byOperation.values()) {
      for (const { count, attributes } of byStatus.values()) result.observe(count, attributes);
    }
  });
  let turn = 0;
  return {
    answered(operation, status, duration_ms) {
      countedOf(byOperation, operation, status).count += 1;
      turn = (turn + 1) % SAMPLE;
      const hot = operation === 'get' || operation === 'put' || operation === 'delete' || operation === 'head';
      if (hot && turn !== 0) return;
      let attributes = durationAttributes.get(operation);
      if (attributes === undefined) {
        attributes = { operation };
        durationAttributes.set(operation, attributes);
      }
      durations.record(duration_ms, attributes);
    },
  };
}

function countedOf(
  byOperation: Map<ApiOperation, Map<number, Counted>>,
  operation: ApiOperation,
  status: number,
): Counted {
  let byStatus = byOperation.get(operation);
  if (byStatus === undefined) {
    byStatus = new Map();
    byOperation.set(operation, byStatus);
  }
  let counted = byStatus.get(status);
  if (counted === undefined) {
    counted = { attributes: { operation, status: String(status) }, count: 0 };
    byStatus.set(status, counted);
  }
  return counted;
}
