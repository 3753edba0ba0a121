/** What is set for the whole cluster. */
import { settingsSchema } from '../admin-schemas.js';
import { type Json, object, ref } from './json-schema.js';
import { get, json, post, timeout } from './operations.js';

export const settingsPaths: Json = {
  '/v1/admin/settings': {
    ...get('What is set for the whole cluster', [timeout], ref('Settings')),
    put: post(
      'Set it; again: no effect',
      [timeout],
      settingsSchema,
      200,
      json('In force from now on', ref('Settings')),
    ),
  },
};

export const settingsSchemas: Json = {
  Settings: object({
    rebuild_after: {
      type: ['string', 'null'],
      description: 'So long a node has to be down before its replicas are made anew on others; null: they never are',
    },
  }),
};
