/**
 * A membership change as bytes, the data of an entry of kind `ConfChange`:
 *
 *   change := version(u8 = 1) transition(u8) count(u16) step*
 *   step   := op(u8) id(u64) [ node length(u16) node(utf-8) ]        node: not with op = remove
 *
 * All numbers little endian.
 */
import type { ConfChange, ConfChangeStep } from './types.js';

const VERSION = 1;
const TRANSITIONS: readonly ConfChange['transition'][] = ['auto', 'joint_implicit', 'joint_explicit'];
const OPS: readonly ConfChangeStep['op'][] = ['add_voter', 'add_learner', 'remove'];
const U16_MAX = 0xffff;

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder('utf-8', { fatal: true });

export function encodeConfChange(change: ConfChange): Uint8Array {
  const nodes = change.steps.map((step) => (step.op === 'remove' ? null : utf8.encode(step.member.node)));
  let size = 4;
  for (const node of nodes) size += 9 + (node === null ? 0 : 2 + node.length);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  if (change.steps.length > U16_MAX) throw new Error(`a membership change cannot have ${change.steps.length} steps`);
  view.setUint8(0, VERSION);
  view.setUint8(1, TRANSITIONS.indexOf(change.transition));
  view.setUint16(2, change.steps.length, true);
  let at = 4;
  change.steps.forEach((step, i) => {
    const node = nodes[i] ?? null;
    view.setUint8(at, OPS.indexOf(step.op));
    view.setBigUint64(at + 1, BigInt(step.op === 'remove' ? step.id : step.member.id), true);
    at += 9;
    if (node === null) return;
    if (node.length > U16_MAX) throw new Error(`a node's name cannot have ${node.length} bytes`);
    view.setUint16(at, node.length, true);
    bytes.set(node, at + 2);
    at += 2 + node.length;
  });
  return bytes;
}

/** Throws with a reason on anything that `encodeConfChange` does not write. */
export function decodeConfChange(bytes: Uint8Array): ConfChange {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const need = (end: number): void => {
    if (end > bytes.length) throw new Error('the membership change is cut short');
  };
  need(4);
  const version = view.getUint8(0);
  if (version !== VERSION) throw new Error(`the membership change has format ${version}, this build knows ${VERSION}`);
  const transition = TRANSITIONS[view.getUint8(1)];
  if (transition === undefined) throw new Error(`the membership change has an unknown transition ${view.getUint8(1)}`);
  const count = view.getUint16(2, true);
  const steps: ConfChangeStep[] = [];
  let at = 4;
  for (let i = 0; i < count; i++) {
    need(at + 9);
    const op = OPS[view.getUint8(at)];
    if (op === undefined) throw new Error(`the membership change has an unknown step ${view.getUint8(at)}`);
    const id = Number(view.getBigUint64(at + 1, true));
    if (!Number.isSafeInteger(id)) throw new Error('the membership change has an impossible replica id');
    at += 9;
    if (op === 'remove') {
      steps.push({ op, id });
      continue;
    }
    need(at + 2);
    const length = view.getUint16(at, true);
    need(at + 2 + length);
    const node = fromUtf8.decode(bytes.subarray(at + 2, at + 2 + length));
    at += 2 + length;
    steps.push({ op, member: { id, node } });
  }
  if (at !== bytes.length) throw new Error('the membership change has bytes after its end');
  return { steps, transition };
}
