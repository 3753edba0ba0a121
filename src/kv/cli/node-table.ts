/** Nodes of a cluster as a table, for `status` and `nodes list`. */
import type { ClusterView } from '../client/index.js';
import { type Colors, renderTable } from './output.js';
import { labelText } from './text.js';

export function renderNodes(colors: Colors, nodes: ClusterView['nodes']): Promise<string> {
  const columns = ['NODE', 'STATE', 'HTTP', 'PEER', 'LABELS', 'SINCE'].map((title) => ({ title }));
  const rows = nodes.map(({ id, state, http, peer, labels, since }) => {
    const shown =
      state === 'healthy' ? colors.green(state) : state === 'down' ? colors.red(state) : colors.yellow(state);
    return [id, shown, http, peer, labelText(labels), since];
  });
  return renderTable(colors, columns, rows);
}
