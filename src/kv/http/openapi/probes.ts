/** What whoever watches over processes asks. */
import { type Json, object, text } from './json-schema.js';
import { get, query } from './operations.js';

export const probePaths: Json = {
  '/livez': get('The process runs', [], object({ status: text })),
  '/readyz': get(
    'The node serves',
    [query('verbose', text, 'Lists the checks')],
    object({ ready: { type: 'boolean' } }),
  ),
  '/metrics': {
    get: { summary: 'Prometheus metrics', responses: { 200: { description: 'Text', content: { 'text/plain': {} } } } },
  },
};
