/** Nodes of a cluster as a table, for `status` and `nodes`. */
import type { ClusterView, NodeView } from '../client/index.js';
import { loadOf } from './node-load.js';
import { type Colors, type Column, renderTable } from './output.js';
import { labelText } from './text.js';

export function nodeStateText(colors: Colors, state: string): string {
  return state === 'healthy' ? colors.green(state) : state === 'down' ? colors.red(state) : colors.yellow(state);
}

const COLUMNS: readonly Column[] = [
  { title: 'NODE' },
  { title: 'STATE' },
  { title: 'REPLICAS', right: true },
  { title: 'LEADS', right: true },
  { title: 'HTTP' },
  { title: 'PEER' },
  { title: 'LABELS' },
  { title: 'SINCE' },
];

/** `view`: what the nodes carry; null where that is not known. */
export function renderNodes(colors: Colors, nodes: readonly NodeView[], view: ClusterView | null): Promise<string> {
  const rows = nodes.map(({ id, state, http, peer, labels, since }) => {
    const load = view === null ? null : loadOf(id, view);
    const counts = load === null ? ['-', '-'] : [String(load.replicas.length), String(load.leads.length)];
    return [id, nodeStateText(colors, state), ...counts, http, peer, labelText(labels), since];
  });
  return renderTable(colors, COLUMNS, rows);
}
