/**
 * The API's description (OpenAPI 3.1), as it is served at `/openapi.json`: what this version answers, not what it answers 501
 * to. Each area of the API has a file in `openapi/`; bodies of the administration come from the schemas that check them.
 */
import { balancePaths, balanceSchemas } from './openapi/balance.js';
import { clusterPaths, clusterSchemas } from './openapi/cluster.js';
import { keyPaths, keySchemas } from './openapi/keys.js';
import { mapPaths, mapSchemas } from './openapi/map.js';
import { memberPaths, memberSchemas } from './openapi/members.js';
import { planPaths, planSchemas } from './openapi/plans.js';
import { probePaths } from './openapi/probes.js';
import { problemSchemas } from './openapi/problem.js';
import { settingsPaths, settingsSchemas } from './openapi/settings.js';
import { verificationPaths, verificationSchemas } from './openapi/verification.js';

/** Rendered once. */
export const OPENAPI_DOCUMENT: string = JSON.stringify({
  openapi: '3.1.0',
  info: { title: 'Quorate', version: '1', description: 'Every answer carries X-Quorate-Epoch.' },
  paths: {
    ...keyPaths,
    ...clusterPaths,
    ...mapPaths,
    ...planPaths,
    ...probePaths,
    ...balancePaths,
    ...memberPaths,
    ...settingsPaths,
    ...verificationPaths,
  },
  components: {
    schemas: {
      ...problemSchemas,
      ...keySchemas,
      ...clusterSchemas,
      ...settingsSchemas,
      ...balanceSchemas,
      ...memberSchemas,
      ...mapSchemas,
      ...planSchemas,
      ...verificationSchemas,
    },
  },
});
