/** The leadership of a shard goes to another of its members, by hand. The API knows none of the controller's. */
import type { ClusterView, LeaderView } from '../../../src/kv/client/index.js';
import type { SimRandom } from '../../sim/fakes/random.js';
import { askAnyone, type DeedPorts, endingOf } from './deed.js';
import { votersOf } from './roster.js';

/** Resolves when it has ended, or nobody can say how. Does nothing where there is nobody to hand over to. */
export async function transferLeader(ports: DeedPorts, random: SimRandom): Promise<void> {
  const { watch, journal, strange } = ports;
  const drawn = drawTransfer(watch.view, random);
  if (drawn === null) return;
  const { shard, to } = drawn;
  const span = journal.begin('members:leader', `leader of ${shard} to ${to}`, 'members');
  const outcome = await askAnyone<LeaderView>(ports, random, {
    method: 'POST',
    path: `/v1/admin/shards/${shard}/transfer-leader`,
    body: { to },
    // By the time it is asked the other one may be no member any more.
    mayAlso: ['invalid_argument'],
  });
  if (outcome.kind === 'ok' && outcome.value.leader !== to)
    strange(`${shard} was to be led by ${to}, and the answer was that ${outcome.value.leader} leads it`);
  journal.end(span, outcome.kind === 'ok' ? `in term ${outcome.value.term}` : endingOf(outcome));
}

export function drawTransfer(
  view: ClusterView | null,
  random: SimRandom,
): { readonly shard: string; readonly to: string } | null {
  const choices = (view?.shards ?? []).flatMap((shard) => {
    const others = votersOf(shard).filter((node) => node !== shard.leader);
    return others.length === 0 ? [] : [{ shard: shard.id, others }];
  });
  if (choices.length === 0) return null;
  const { shard, others } = random.pick(choices);
  return { shard, to: random.pick(others) };
}
