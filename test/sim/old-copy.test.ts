import { describe, expect, it } from 'vitest';
import { SimScheduler } from './fakes/clock.js';
import type { Promised } from './fakes/durable-log.js';
import { SimRandom } from './fakes/random.js';
import { OldCopy } from './old-copy.js';
import type { SimNode } from './sim-node.js';
import { Trace } from './trace.js';

const GROUP = 1;
const PROMISED: Promised = { term: 4, vote: 2, last: 20, lastTerm: 4 };

interface Other {
  promised: Promised;
  role: string;
  holds: number;
  up: boolean;
  /** Nodes of its voters. */
  voters: readonly string[];
}

const ALL = ['n1', 'n2', 'n3'];
const confOf = (voters: readonly string[], learners: readonly string[] = []) => {
  const members = (nodes: readonly string[]) => nodes.map((node) => ({ node, id: Number(node.slice(1)) }));
  return { voters: members(voters), outgoing: [], learners: members(learners), learnersNext: [], autoLeave: false };
};

/** Three nodes, of which n1 gets its old disk back as soon as the other two can do without it. */
class Trio {
  readonly scheduler = new SimScheduler();
  readonly others: Record<string, Other> = {
    n2: { promised: PROMISED, role: 'leader', holds: 20, up: true, voters: ALL },
    n3: { promised: PROMISED, role: 'follower', holds: 20, up: true, voters: ALL },
  };
  membersChange = false;
  /** Of n1, as long as it runs. */
  own: { learners: readonly string[]; confIndex: number } = { learners: [], confIndex: 0 };
  groups: readonly number[] = [GROUP];
  begun = false;
  exchanged_ms: number | null = null;
  revived_ms: number | null = null;

  #other(id: string): SimNode {
    const other = this.others[id]!;
    const members = ALL.map((node) => ({ node }));
    const replica = {
      members,
      damage: null,
      get role() {
        return other.role;
      },
      get conf() {
        return confOf(other.voters);
      },
    };
    return {
      id,
      promised: () => new Map([[GROUP, other.promised]]),
      holds: (_: number, index: number) => index <= other.holds,
      get node() {
        return other.up ? { host: { get: () => replica } } : null;
      },
    } as unknown as SimNode;
  }

  async play(change: () => void = () => {}, change_ms = 30_000): Promise<void> {
    const { scheduler } = this;
    const node = {
      id: 'n1',
      promised: () => new Map(this.groups.map((group) => [group, PROMISED])),
      node: {
        host: {
          get: () => ({ damage: null, conf: confOf(ALL, this.own.learners), confIndex: this.own.confIndex }),
        },
      },
      copy: () => {
        this.begun = true;
        return {};
      },
      crash: () => {},
      putBack: () => {
        this.exchanged_ms ??= scheduler.now_ms;
      },
    } as unknown as SimNode;
    const oldCopy = new OldCopy({
      scheduler,
      random: new SimRandom(1),
      nodes: [node, this.#other('n2'), this.#other('n3')],
      trace: new Trace(scheduler, false),
      membersChange: this.membersChange,
      committed: () => ({ index: 18, term: 4 }),
      allowed: () => true,
      claim: () => {},
      reviveWithin: () => {
        this.revived_ms ??= scheduler.now_ms;
      },
    });
    scheduler.at(change_ms, change);
    oldCopy.begin(node);
    await scheduler.runFor(60_000);
  }
}

describe('an old copy of a disk', () => {
  it('is put back when the others hold all that the node has promised (F26)', async () => {
    const trio = new Trio();
    await trio.play();
    expect(trio.exchanged_ms).not.toBeNull();
    expect(trio.exchanged_ms).toBe(trio.revived_ms);
  });

  it.each<[string, Partial<Other>]>([
    ['is down', { up: false }],
    ['lacks an entry that the node has confirmed', { holds: 19 }],
    ['has not heard of its term', { promised: { ...PROMISED, term: 3 } }],
    ['may still vote in its term', { promised: { ...PROMISED, vote: 0 } }],
    ['campaigns in its term', { role: 'candidate' }],
    ['is of a later term, but lacks what is committed', { promised: { ...PROMISED, term: 5 }, holds: 17 }],
  ])('is not put back while another one %s', async (_, state) => {
    const trio = new Trio();
    Object.assign(trio.others['n3']!, state);
    await trio.play();
    expect(trio.exchanged_ms).toBeNull();
    expect(trio.revived_ms).not.toBeNull();
  });

  it('does not care for what is confirmed, but not committed, once all others are of a later term', async () => {
    const trio = new Trio();
    for (const other of Object.values(trio.others))
      Object.assign(other, { promised: { ...PROMISED, term: 5, vote: 0 }, holds: 18 });
    await trio.play();
    expect(trio.exchanged_ms).not.toBeNull();
  });
});

describe('an old copy of a disk, where members change', () => {
  const trioOf = (change: Partial<Pick<Trio, 'own' | 'groups'>> = {}): Trio =>
    Object.assign(new Trio(), { membersChange: true }, change);

  it('is put back under the configuration that it was taken under', async () => {
    const trio = trioOf();
    await trio.play();
    expect(trio.exchanged_ms).not.toBeNull();
  });

  it('is not put back where anybody knows of another one', async () => {
    const trio = trioOf();
    await trio.play(() => {
      trio.others['n3']!.voters = ['n1', 'n2', 'n4'];
    }, 0);
    expect(trio.begun).toBe(true);
    expect(trio.exchanged_ms).toBeNull();
    expect(trio.revived_ms).not.toBeNull();
  });

  it('is not put back where the node has come into another group since, or left one', async () => {
    for (const groups of [[GROUP, 2], []]) {
      const trio = trioOf();
      await trio.play(() => {
        trio.groups = groups;
      }, 0);
      expect(trio.begun).toBe(true);
      expect(trio.exchanged_ms).toBeNull();
    }
  });

  it.each([
    ['a member is being added', { learners: ['n4'], confIndex: 0 }],
    ['its configuration is not on the disk yet', { learners: [], confIndex: 21 }],
  ])('is not even taken while %s', async (_, own) => {
    const trio = trioOf({ own });
    await trio.play();
    expect(trio.begun).toBe(false);
  });
});
