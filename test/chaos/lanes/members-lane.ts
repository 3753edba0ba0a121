/**
 * Nodes come and go, one after the other, whatever else goes on: a new one sits down in the vacant seat and joins; once it has
 * its share of replicas another one is drained, founders too and a lost one first; when that has left the cluster its process ends,
 * its files go, and the next newcomer has its addresses. In between leaders and members of shards are changed by hand.
 *
 * How long that takes under faults nobody promises. In the calm at the end what was begun must end, and the groups must have
 * the members that they should have.
 */
import type { ClusterView } from '../../../src/kv/client/index.js';
import type { SimRandom } from '../../sim/fakes/random.js';
import type { FaultSpan, Journal } from '../journal.js';
import { pause } from '../pause.js';
import type { LocalSite } from '../site/local-site.js';
import type { ClusterWatch } from '../watch/cluster-watch.js';
import type { Finding } from '../workloads/workload.js';
import { askAnyone, type DeedPorts, endingOf } from './deed.js';
import { HandChanges } from './hand-changes.js';
import { transferLeader } from './leader-transfer.js';
import { belongs, type Known, nextStep, type Step } from './roster.js';
import type { RosterFlaws } from './roster-check.js';
import { flawsByAll } from './roster-poll.js';

const POLL_MS = 250;
/** After a step that did something. */
const PAUSE_MS = { least: 500, most: 2_000 } as const;
/** With all seats taken: now a node may be lost, and be replaced. */
const FULL_MS = { least: 2_000, most: 6_000 } as const;
/** How long one that has left is still there, and must not serve. */
const GHOST_MS_MAX = 2_000;
const DEED_MS = { least: 1_500, most: 5_000 } as const;
const TRANSFERS_OF_DEEDS = 0.55;
/** Mostly a newcomer finds the cluster by itself; sometimes it is told where the newcomer is. */
const FETCHES_OF_POLLS = 0.15;

export interface MembersLaneOptions {
  readonly site: LocalSite;
  readonly watch: ClusterWatch;
  readonly journal: Journal;
  readonly random: SimRandom;
  readonly signal: AbortSignal;
  readonly replicas: number;
}

interface Arrival {
  readonly id: string;
  readonly peer: string;
  readonly span: FaultSpan;
}

interface Departure {
  readonly id: string;
  readonly span: FaultSpan;
  /** It has certainly begun. */
  asked: boolean;
}

export class MembersLane {
  readonly findings: Finding[] = [];
  readonly #options: MembersLaneOptions;
  readonly #ports: DeedPorts;
  readonly #changes: HandChanges;
  readonly #gone = new Set<string>();
  #arrival: Arrival | null = null;
  #departure: Departure | null = null;
  #nextDeed_ms: number;
  #rounds = 0;

  constructor(options: MembersLaneOptions) {
    const { site, watch, journal, random } = options;
    this.#options = options;
    this.#ports = {
      endpoints: () => {
        const running = site.cluster.running.map(({ http }) => http);
        return running.length > 0 ? running : site.cluster.endpoints;
      },
      watch,
      journal,
      strange: (message) => this.findings.push({ workload: 'members', message }),
    };
    this.#changes = new HandChanges(this.#ports);
    this.#nextDeed_ms = journal.now() + random.between(DEED_MS.least, DEED_MS.most);
  }

  /** Until the signal says so; a node may be about to join or to leave then. */
  async run(): Promise<void> {
    const { journal, signal } = this.#options;
    while (!signal.aborted) {
      const random = this.#nextRandom();
      const wait_ms = await this.#advance(random, true);
      if (!signal.aborted && journal.now() >= this.#nextDeed_ms) await this.#deed(random);
      await pause(wait_ms, signal);
    }
  }

  /** In the calm: what has begun ends within the limit. */
  async finish(limit_ms: number): Promise<void> {
    const { journal } = this.#options;
    const end_ms = journal.now() + limit_ms;
    while (journal.now() < end_ms && this.#unfinished().length > 0) {
      await this.#advance(this.#nextRandom(), false);
      await pause(POLL_MS);
    }
    for (const what of this.#unfinished()) journal.stall(`${what} within ${limit_ms / 1000} s of calm`);
  }

  #unfinished(): string[] {
    const { view } = this.#options.watch;
    const departs = this.#departure?.id;
    return [
      ...(this.#arrival === null ? [] : [`${this.#arrival.id} did not become a member with its share of replicas`]),
      ...(departs === undefined ? [] : [`${departs} did not leave (${hostedBy(view, departs)})`]),
      ...this.#changes.open.map((what) => `the change of members of ${what} did not end`),
    ];
  }

  /** Each round draws from a stream of its own, whatever those before it have drawn. */
  #nextRandom(): SimRandom {
    return this.#options.random.fork(`members-${++this.#rounds}`);
  }

  // ------------------------------------------------------------------------------------------------------- come and go

  /** One look, and one step where one is due; resolves with how long to wait for the next. */
  async #advance(random: SimRandom, begins: boolean): Promise<number> {
    await this.#changes.follow(random.fork('follow'));
    const step = nextStep(this.#known(), begins);
    await this.#carryOut(step, random.fork('step'));
    if (step.kind === 'wait') return POLL_MS;
    const { least, most } = step.kind === 'arrived' ? FULL_MS : PAUSE_MS;
    return random.between(least, most);
  }

  #known(): Known {
    const { site, watch } = this.#options;
    return {
      view: watch.view,
      seated: site.ids,
      vacant: site.seats.vacant !== null,
      spent: site.spent,
      arriving: this.#arrival?.id ?? null,
      leaving: this.#departure,
    };
  }

  async #carryOut(step: Step, random: SimRandom): Promise<void> {
    switch (step.kind) {
      case 'wait':
        if (this.#arrival !== null && random.chance(FETCHES_OF_POLLS)) await this.#fetch(this.#arrival, random);
        return;
      case 'seat':
        return this.#seat();
      case 'arrived':
        return this.#welcome();
      case 'choose':
        return this.#choose(random.pick(step.candidates));
      case 'drain':
        return this.#drain(step.id, random);
      case 'vacate':
        return this.#vacate(step.id, random);
    }
  }

  async #seat(): Promise<void> {
    const { site, journal } = this.#options;
    const { id, peer } = await site.seat();
    this.#arrival = { id, peer, span: journal.begin('members:join', `${id} joins`, 'members') };
  }

  /** The other way in: somebody of the cluster is told where it listens. */
  async #fetch({ id, peer }: Arrival, random: SimRandom): Promise<void> {
    const { watch, journal } = this.#options;
    if (belongs(watch.view, id)) return;
    const call = { method: 'POST', path: '/v1/admin/nodes', body: { peer } } as const;
    const outcome = await askAnyone<{ id: string }>(this.#ports, random, call);
    if (outcome.kind !== 'ok') journal.remark(`${id} could not be fetched: ${outcome.why}`);
    else if (outcome.value.id === id) journal.remark(`${id} was fetched`);
    else this.#ports.strange(`${outcome.value.id} was fetched where ${id} listens`);
  }

  #welcome(): void {
    if (this.#arrival === null) return;
    const { watch, journal } = this.#options;
    journal.end(this.#arrival.span, `a member (${hostedBy(watch.view, this.#arrival.id)})`);
    this.#arrival = null;
  }

  /** From here on to the end of its process, whatever the answers are: it may have been heard. */
  #choose(id: string): void {
    const { site, journal } = this.#options;
    site.leaves(id);
    this.#departure = { id, span: journal.begin('members:drain', `${id} drained`, 'members'), asked: false };
  }

  async #drain(id: string, random: SimRandom): Promise<void> {
    const { site, journal } = this.#options;
    const call = { method: 'DELETE', path: `/v1/admin/nodes/${id}` } as const;
    const outcome = await askAnyone<{ state: string }>(this.#ports, random, call);
    if (outcome.kind === 'ok') {
      if (outcome.value.state !== 'draining') this.#ports.strange(`${id} was drained, and is ${outcome.value.state}`);
      this.#departure!.asked = true;
      return;
    }
    // It has left already: an earlier answer was lost.
    if (outcome.kind === 'refused' && outcome.code === 'not_found') this.#departure!.asked = true;
    if (outcome.kind === 'refused' && outcome.code === 'plan_impossible')
      await this.#changes.makeRoom(random, id, site.ids.length - 1);
    journal.remark(`drain of ${id} not begun: ${endingOf(outcome)}`);
  }

  async #vacate(id: string, random: SimRandom): Promise<void> {
    const { site, journal } = this.#options;
    await pause(random.between(0, GHOST_MS_MAX));
    await site.vacate(id);
    journal.end(this.#departure!.span, 'has left');
    this.#gone.add(id);
    this.#departure = null;
  }

  // ------------------------------------------------------------------------------------------------------------ by hand

  async #deed(random: SimRandom): Promise<void> {
    const { site, journal, replicas } = this.#options;
    if (random.chance(TRANSFERS_OF_DEEDS)) await transferLeader(this.#ports, random.fork('transfer'));
    else {
      const stays = (id: string): boolean => id !== this.#departure?.id && !site.spent.has(id);
      const able = (this.#options.watch.view?.nodes ?? []).map(({ id }) => id).filter(stays);
      const bounds = { able, replicas, first: this.#arrival?.id ?? null };
      await this.#changes.begin(random.fork('change'), bounds);
    }
    this.#nextDeed_ms = journal.now() + random.between(DEED_MS.least, DEED_MS.most);
  }

  // --------------------------------------------------------------------------------------------------------- in the end

  /** What is said by all that are there and are not lost; waits for it to be as it should. */
  async check(limit_ms: number): Promise<void> {
    const { journal } = this.#options;
    const end_ms = journal.now() + limit_ms;
    let flaws = await this.#flaws();
    while (flaws.lacks.length + flaws.ghosts.length > 0 && journal.now() < end_ms) {
      await pause(POLL_MS);
      flaws = await this.#flaws();
    }
    for (const ghost of flaws.ghosts) this.#ports.strange(ghost);
    for (const lack of flaws.lacks) journal.stall(`${lack}, ${limit_ms / 1000} s after all had ended`);
    for (const excuse of flaws.excused) journal.note(excuse);
  }

  #flaws(): Promise<RosterFlaws> {
    const { site, replicas } = this.#options;
    const asked = site.cluster.nodes.filter(({ id }) => !site.spent.has(id) && id !== this.#arrival?.id);
    return flawsByAll(asked, { replicas, gone: this.#gone, spent: site.spent });
  }
}

/** `hosts s1, s2, controller`. */
function hostedBy(view: ClusterView | null, id: string): string {
  const shards = (view?.shards ?? []).filter(({ members }) => members.some(({ node }) => node === id));
  const controller = view?.controller.members.includes(id) === true ? ['controller'] : [];
  const groups = [...shards.map((shard) => shard.id), ...controller];
  return groups.length === 0 ? 'hosts nothing' : `hosts ${groups.join(', ')}`;
}
