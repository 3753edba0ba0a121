/** The API without a socket, what is counted, what is logged as slow. */
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { describe, expect, it } from 'vitest';
import { createOtelApiMetrics, type ExchangeResponse, handleApi, handleKv } from '../../../src/kv/http/index.js';
import { ApiFixture } from './api-fixture.js';
import { FakeKv } from './fake-services.js';

const NOTHING = Buffer.alloc(0);

describe('handleKv', () => {
  it('answers at once, as far as the service does, with header names in any case', () => {
    const kv = new FakeKv();
    const replies: ExchangeResponse[] = [];
    const done = (reply: ExchangeResponse): void => {
      replies.push(reply);
    };
    const headers = { 'content-TYPE': 'text/plain', 'If-None-Match': '*' };
    handleKv(kv, { method: 'PUT', url: '/v1/kv/a', headers, body: Buffer.from('v') }, done);
    handleKv(kv, { method: 'PUT', url: '/v1/kv/a', headers, body: Buffer.from('w') }, done);
    handleKv(kv, { method: 'GET', url: '/v1/kv/a', headers: {}, body: NOTHING }, done);
    handleKv(kv, { method: 'HEAD', url: '/v1/kv/a', headers: {}, body: NOTHING }, done);
    handleKv(kv, { method: 'GET', url: '/v1/other', headers: {}, body: NOTHING }, done);
    expect(replies.map(({ status }) => status)).toEqual([201, 412, 200, 200, 404]);
    expect(replies[1]!.headers['etag']).toBe('"1"');
    expect(replies[2]!.headers).toMatchObject({ 'content-type': 'text/plain', 'x-quorate-epoch': '7' });
    expect(replies.map(({ body }) => body.toString()).slice(2, 4)).toEqual(['v', '']);
  });

  it('refuses a value beyond the limit before the service sees it (F43)', async () => {
    const kv = new FakeKv();
    const exchange = { method: 'PUT', url: '/v1/kv/a', headers: {}, body: Buffer.alloc(5) };
    expect((await handleApi(kv, exchange, { valueBytes: 5 })).status).toBe(201);
    expect((await handleApi(kv, exchange, { valueBytes: 4 })).status).toBe(413);
    expect(kv.requests).toHaveLength(1);
  });
});

describe('createOtelApiMetrics', () => {
  it('counts every answer and records durations', async () => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
    const provider = new MeterProvider({ readers: [reader] });
    const metrics = createOtelApiMetrics(provider.getMeter('test'));
    for (let i = 0; i < 20; i++) metrics.answered('get', 200, 2);
    metrics.answered('get', 404, 2);
    metrics.answered('admin', 202, 30);
    await reader.forceFlush();
    const found = exporter.getMetrics()[0]!.scopeMetrics[0]!.metrics;
    const counter = found.find(({ descriptor }) => descriptor.name === 'quorate_http_requests')!;
    expect(counter.dataPoints.map(({ attributes, value }) => ({ ...attributes, value }))).toEqual([
      { operation: 'get', status: '200', value: 20 },
      { operation: 'get', status: '404', value: 1 },
      { operation: 'admin', status: '202', value: 1 },
    ]);
    const durations = found.find(({ descriptor }) => descriptor.name === 'quorate_http_request_duration')!;
    expect(durations.dataPoints.map(({ attributes, value }) => [attributes['operation'], value])).toMatchObject([
      ['get', { count: 2, sum: 4 }],
      ['admin', { count: 1, sum: 30 }],
    ]);
    await provider.shutdown();
  });
});

describe('log', () => {
  it('has slow requests at info', async () => {
    const api = await new ApiFixture().start();
    api.kv.held = [];
    const reply = api.call('GET', '/v1/kv/a', { headers: { 'X-Request-Id': 'slow-1' } });
    const pause = () => new Promise((resolve) => setTimeout(resolve, 20));
    while (api.kv.held.length === 0) await pause();
    // Only from here on: the request may have come late.
    const held_ms = performance.now();
    while (performance.now() - held_ms <= 1_000) await pause();
    for (const release of api.kv.held.splice(0)) release();
    await reply;
    expect(api.logged).toMatchObject([{ level: 'info', fields: { request_id: 'slow-1', status: 404 } }]);
    await api.stop();
  });
});
