/** What operators set for the whole cluster, and what is set: both go through the controller. */
import type { Answer, ApiError, SettingsRequest, SettingsView } from './api.js';
import type { ControllerCaller } from './controller-caller.js';
import { durationText } from './duration-text.js';

type Failure = { readonly ok: false; readonly error: ApiError };
const fail = (code: ApiError['code'], detail: string): Failure => ({ ok: false, error: { code, detail } });

const AWAY = 'the controller did not answer in time: a majority of its members may be away';

export class SettingsAdmin {
  readonly #controller: Pick<ControllerCaller, 'propose' | 'members'>;

  constructor(controller: Pick<ControllerCaller, 'propose' | 'members'>) {
    this.#controller = controller;
  }

  async settings(timeout_ms: number): Promise<Answer<SettingsView>> {
    const answer = await this.#controller.members(timeout_ms);
    return answer === null ? fail('unavailable', AWAY) : { ok: true, value: viewOf(answer.settings.rebuildAfter_ms) };
  }

  async change({ rebuildAfter_ms }: SettingsRequest, timeout_ms: number): Promise<Answer<SettingsView>> {
    const answer = await this.#controller.propose({ kind: 'change_settings', rebuildAfter_ms }, timeout_ms);
    if (answer.kind === 'unavailable') return fail('no_leader', AWAY);
    if (answer.kind === 'unknown') {
      return fail('outcome_unknown', 'the controller did not confirm the settings: ask for them, or set them again');
    }
    const { result } = answer;
    switch (result.kind) {
      case 'ok':
        return { ok: true, value: viewOf(rebuildAfter_ms) };
      case 'malformed':
        return fail('invalid_argument', result.detail);
      case 'not_initialised':
        return fail('unavailable', 'the cluster is being made: it has no settings yet');
      default:
        return fail('internal', `unexpected answer of the controller: ${result.kind}`);
    }
  }
}

const viewOf = (rebuildAfter_ms: number | null): SettingsView => ({
  rebuild_after: rebuildAfter_ms === null ? null : durationText(rebuildAfter_ms),
});
