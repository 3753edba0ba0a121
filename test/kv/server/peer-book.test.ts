/** Whom a node talks to before it has a map. */
import { describe, expect, it } from 'vitest';
import type { MapKeeper } from '../../../src/kv/server/map-keeper.js';
import { PeerBook } from '../../../src/kv/server/peer-book.js';

const noMap = { map: null, epoch: 0 } as MapKeeper;

describe('a node that has restarted, and has no map yet', () => {
  it('F25 takes no peer with another disk for the one that it knew, wherever it is found', () => {
    const book = new PeerBook({
      self: 'n1',
      maps: noMap,
      known: new Map([
        ['n2', { address: 'h2:1', incarnation: 'b2' }],
        ['n3', { address: 'h3:1', incarnation: null }],
      ]),
      founders: [],
      changed: () => {},
    });
    expect(book.peers()).toEqual(
      new Map([
        ['n2', { address: 'h2:1', incarnation: 'b2' }],
        ['n3', { address: 'h3:1', incarnation: null }],
      ]),
    );
    book.found('n2', 'h9:1');
    book.found('n4', 'h4:1');
    expect([book.peers().get('n2'), book.peers().get('n4')]).toEqual([
      { address: 'h9:1', incarnation: 'b2' },
      { address: 'h4:1', incarnation: null },
    ]);
  });
});
