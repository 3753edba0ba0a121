/**
 * What goes wrong, drawn from the seed. Swarm testing (Groce et al., ISSTA 2012): each seed has its own subset of faults
 * and its own intensity, since a run with everything at once hides what only a few together can do.
 */
import type { SimScheduler } from './fakes/clock.js';
import type { SimNetwork } from './fakes/network.js';
import type { SimRandom } from './fakes/random.js';
import type { SimHttp } from './sim-http.js';
import type { SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

export const FAULTS = [
  'kill',
  'power_cut',
  'all_down',
  'pause',
  'partition',
  'one_way',
  'bridge',
  'loss',
  'duplicate',
  'reorder',
  'reset',
  'slow_network',
  'client_loss',
  'wall_jump',
  'clock_rate',
  'reshard',
  'move',
] as const;
export type Fault = (typeof FAULTS)[number];

export interface NemesisOptions {
  readonly scheduler: SimScheduler;
  readonly network: SimNetwork;
  readonly http: SimHttp;
  readonly nodes: readonly SimNode[];
  readonly random: SimRandom;
  readonly faults: ReadonlySet<Fault>;
  readonly trace: Trace;
  readonly failed: (what: string) => void;
}

/** The faults of a seed: each is in with its own probability; something always is. */
export function drawFaults(random: SimRandom): Set<Fault> {
  const density = random.between(0.15, 0.6);
  const faults = new Set(FAULTS.filter(() => random.chance(density)));
  if (random.chance(0.75)) faults.add('reshard');
  if (faults.size === 0) faults.add('kill');
  return faults;
}

export class Nemesis {
  readonly #options: NemesisOptions;
  readonly #random: SimRandom;
  readonly #pace_ms: number;
  #active = true;

  constructor(options: NemesisOptions) {
    this.#options = options;
    this.#random = options.random.fork('nemesis');
    this.#pace_ms = this.#random.between(800, 6_000);
    this.#networkFaults();
  }

  start(): void {
    this.#next();
  }

  #networkFaults(): void {
    const { faults, network, http } = this.#options;
    const r = this.#random;
    const slow = faults.has('slow_network');
    network.setFaults({
      delayMin_ms: 0.1,
      delayMax_ms: slow ? r.between(5, 60) : r.between(0.3, 3),
      loss: faults.has('loss') ? r.between(0.001, 0.08) : 0,
      duplicate: faults.has('duplicate') ? r.between(0.01, 0.2) : 0,
      reorder: faults.has('reorder') ? r.between(0.005, 0.1) : 0,
      reset: faults.has('reset') ? r.between(0.0005, 0.01) : 0,
    });
    http.faults.loss = faults.has('client_loss') ? r.between(0.005, 0.1) : 0;
    http.faults.delayMax_ms = slow ? 30 : 3;
  }

  #next(): void {
    if (!this.#active) return;
    this.#options.scheduler.after(this.#random.between(0.2, 1.8) * this.#pace_ms, () => {
      if (!this.#active) return;
      this.#strike();
      this.#next();
    });
  }

  #strike(): void {
    const what = this.#random.pick([...this.#options.faults]);
    const node = this.#random.pick(this.#options.nodes);
    switch (what) {
      case 'kill':
        return this.#crash([node], 'kill');
      case 'power_cut':
        return this.#crash([node], 'power-cut');
      case 'all_down':
        return this.#crash(this.#options.nodes, this.#random.chance(0.5) ? 'kill' : 'power-cut');
      case 'pause':
        return this.#pause(node);
      case 'partition':
      case 'one_way':
      case 'bridge':
        return this.#partition(what);
      case 'wall_jump':
        this.#options.trace.add('nemesis', `wall clock of ${node.id} jumps`);
        return node.clock?.jumpWall(this.#random.between(-20_000, 20_000));
      case 'reshard':
        return this.#reshard(node);
      case 'move':
        return this.#move(node);
      default:
      // Network faults and clock rates are on all along.
    }
  }

  #crash(nodes: readonly SimNode[], kind: 'kill' | 'power-cut'): void {
    for (const node of nodes) {
      node.crash(kind);
      this.#options.scheduler.after(this.#random.between(5, 5_000), () => this.revive(node));
    }
  }

  revive(node: SimNode): void {
    if (!node.up)
      node
        .start()
        .catch((error: unknown) => this.#options.failed(`${node.id} does not start: ${(error as Error).stack}`));
  }

  #pause(node: SimNode): void {
    const clock = node.clock;
    if (clock === null) return;
    this.#options.trace.add('nemesis', `${node.id} pauses`);
    clock.pause();
    this.#options.scheduler.after(this.#random.between(50, 4_000), () => clock.resume());
  }

  #partition(how: 'partition' | 'one_way' | 'bridge'): void {
    const { network, scheduler, trace } = this.#options;
    const ids = this.#random.shuffle(this.#options.nodes.map((node) => node.id));
    const cut = this.#random.int(1, ids.length - 1);
    trace.add('nemesis', `${how} of ${ids.slice(0, cut)} from ${ids.slice(cut)}`);
    if (how === 'partition') network.split(ids.slice(0, cut), ids.slice(cut));
    else if (how === 'bridge') network.bridge(ids[0]!, ids.slice(1, 2), ids.slice(2));
    else for (const a of ids.slice(0, cut)) for (const b of ids.slice(cut)) network.partition(a, b, true);
    scheduler.after(this.#random.between(200, 6_000), () => {
      trace.add('nemesis', 'partitions heal');
      network.heal();
    });
  }

  #reshard(node: SimNode): void {
    const shards = this.#random.int(1, 5);
    const admin = node.node?.admin;
    if (admin === undefined) return;
    this.#options.trace.add('nemesis', `asks ${node.id} for ${shards} shards`);
    node.clock?.run(() => {
      void admin.reshard({ shards, dry_run: false }, 5_000).then((answer) => this.#heard(answer));
    });
  }

  #move(node: SimNode): void {
    const map = node.node?.maps.map;
    const admin = node.node?.admin;
    if (map === null || map === undefined || admin === undefined) return;
    const first = this.#random.int(0, 16_000);
    const slots = `${first}-${first + this.#random.int(0, 383)}`;
    const to = `s${this.#random.pick(map.shards).id}`;
    this.#options.trace.add('nemesis', `asks ${node.id} to move ${slots} to ${to}`);
    node.clock?.run(() => {
      void admin.move({ slots, to, dry_run: false }, 5_000).then((answer) => this.#heard(answer));
    });
  }

  #heard(answer: { ok: true; value: { id: string } } | { ok: false; error: { code: string; detail: string } }): void {
    this.#options.trace.add('nemesis', answer.ok ? `plan ${answer.value.id} starts` : `refused: ${answer.error.code}`);
    const expected = ['conflict', 'no_leader', 'unavailable', 'outcome_unknown', 'plan_impossible'];
    if (!answer.ok && !expected.includes(answer.error.code)) {
      this.#options.failed(`an admin call was refused with ${answer.error.code}: ${answer.error.detail}`);
    }
  }

  /** From here on nothing goes wrong any more, and whatever is down comes back. */
  calm(): void {
    this.#active = false;
    const { network, http, nodes, trace } = this.#options;
    trace.add('nemesis', 'calm');
    network.setFaults({ loss: 0, duplicate: 0, reorder: 0, reset: 0, delayMin_ms: 0.1, delayMax_ms: 1 });
    network.heal();
    http.faults.loss = 0;
    http.faults.delayMax_ms = 1;
    for (const node of nodes) {
      node.clock?.resume();
      this.revive(node);
    }
  }
}
