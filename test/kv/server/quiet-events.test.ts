import { describe, expect, it } from 'vitest';
import { QuietEvents } from '../../../src/kv/server/quiet-events.js';
import type { TransportEvent } from '../../../src/raft/index.js';

const event = (over: Partial<TransportEvent> = {}): TransportEvent => ({
  name: 'inbound_refused',
  node: 'n3',
  remote: '127.0.0.1:4000',
  reason: 'wrong_incarnation',
  ...over,
});

describe('events of the transport', () => {
  it('pass once a minute each, whatever port they come from', () => {
    let now_ms = 0;
    const quiet = new QuietEvents(() => now_ms);
    expect(quiet.passes(event())).toBe(true);
    now_ms = 59_999;
    expect(quiet.passes(event({ remote: '127.0.0.1:4001' }))).toBe(false);
    expect(quiet.passes(event({ node: 'n2' }))).toBe(true);
    expect(quiet.passes(event({ reason: 'wrong_cluster' }))).toBe(true);
    expect(quiet.passes(event({ name: 'outbound_refused' }))).toBe(true);
    now_ms = 60_000;
    expect(quiet.passes(event())).toBe(true);
    expect(quiet.passes(event())).toBe(false);
  });

  it('are not remembered without bound', () => {
    const quiet = new QuietEvents(() => 0);
    for (let i = 0; i < 2_000; i++) expect(quiet.passes(event({ reason: `${i}` }))).toBe(true);
    expect(quiet.passes(event({ reason: '0' }))).toBe(true);
    expect(quiet.passes(event({ reason: '1999' }))).toBe(false);
  });
});
