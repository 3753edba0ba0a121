/**
 * At the end of a run the product looks for itself whether all is as it should be: replicas record by record, and what the
 * latest plan has proved. After all that has happened it must find nothing, but on a disk that was made to rot, and it must have
 * compared every replica whose node need not be excused.
 */
import type { VerifyDifference, VerifyRequest, VerifyView } from '../../src/kv/server/api.js';
import type { SimNode } from './sim-node.js';

export interface FinalVerificationOptions {
  /** Who is asked. */
  readonly node: SimNode;
  /** The latest plan; null: there has been none. */
  readonly plan: string | null;
  readonly nodes: readonly SimNode[];
}

const TIMEOUT_MS = 10_000;
const EVERY_MS = 100;
const REQUEST: VerifyRequest = { shards: [], plan: null, mib_per_s: 64, give_up_ms: 600_000 };

export class FinalVerification {
  readonly #options: FinalVerificationOptions;
  #view: VerifyView | null = null;
  #refusal: string | null = null;

  constructor(options: FinalVerificationOptions) {
    this.#options = options;
  }

  begin(): void {
    const { node, plan } = this.#options;
    const admin = node.node!.admin;
    const shards = node.node!.maps.map!.shards.map(({ id }) => `s${id}`);
    const clock = node.clock!;
    const look = (id: string): void => {
      void admin.verification(id, TIMEOUT_MS).then((answer) => {
        if (!answer.ok) this.#refusal = answer.error.detail;
        else if (answer.value.state !== 'running') this.#view = answer.value;
        else clock.after(EVERY_MS, () => look(id));
      });
    };
    clock.run(() => {
      void admin.verify({ ...REQUEST, plan, shards }, TIMEOUT_MS).then((answer) => {
        if (answer.ok) look(answer.value.id);
        else this.#refusal = answer.error.detail;
      });
    });
  }

  get over(): boolean {
    return this.#view !== null || this.#refusal !== null;
  }

  /**
   * A replica was sent a snapshot instead of the mark, and said so: logs are tiny in some runs. That is no fault, but what it has
   * must have been compared in the end.
   */
  get toBeRepeated(): boolean {
    const missed = (this.#view?.shards ?? []).flatMap(({ replicas }) =>
      replicas.filter(({ state }) => state !== 'read'),
    );
    return this.verdict() !== null && missed.some(({ detail }) => /replaced by a snapshot/.test(detail ?? ''));
  }

  /** What is wrong, or null. */
  verdict(): string | null {
    const view = this.#view;
    if (view === null) return `the final verification was refused: ${this.#refusal}`;
    const { shards, plan, state, reason } = view;
    if (state !== 'done') return `the final verification ${state}: ${reason}`;
    for (const { id, differences, replicas } of shards) {
      const odd = differences.find((one) => !this.#isRot(one));
      if (odd !== undefined) return `the final verification of ${id}: ${odd.kind} on ${odd.nodes}: ${odd.detail}`;
      const missed = replicas.find((replica) => replica.state !== 'read' && !this.#isHarmed(replica.node));
      if (missed !== undefined) return `the final verification of ${id} passed over ${missed.node}: ${missed.detail}`;
    }
    const odd = plan?.differences.find((one) => one.nodes.length === 0 || !this.#isRot(one));
    if (odd !== undefined) return `the final verification of plan ${plan?.id}: slots ${odd.slots}: ${odd.detail}`;
    return null;
  }

  #isHarmed(id: string): boolean {
    return this.#options.nodes.some((node) => node.id === id && node.harm !== 'none');
  }

  #isRot({ nodes }: VerifyDifference): boolean {
    return nodes.every((id) => this.#options.nodes.some((node) => node.id === id && node.harm === 'rotten'));
  }
}
