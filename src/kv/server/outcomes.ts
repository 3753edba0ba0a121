/** What the state machine says of a key, in the words of the API. */
import type { GroupId } from '../../raft/index.js';
import { shardName } from '../../shardctrl/index.js';
import type { KvRecord, WriteResult } from '../store/index.js';
import type { KvOutcome } from './api.js';

export function writeOutcome(result: Exclude<WriteResult, { kind: 'conflict' }>, shard: GroupId): KvOutcome {
  switch (result.kind) {
    case 'stored': {
      const { created, revision, version } = result;
      return { kind: 'stored', created, revision, version, shard: shardName(shard) };
    }
    case 'deleted':
      return { kind: 'deleted', revision: result.revision, shard: shardName(shard) };
    case 'missing':
      return { kind: 'missing', shard: shardName(shard) };
    case 'precondition_failed':
      return { kind: 'precondition_failed', revision: result.revision, shard: shardName(shard) };
  }
}

export function foundOutcome(record: KvRecord, expiresIn_ms: number | null, shard: GroupId): KvOutcome {
  const { value, contentType, revision, version } = record;
  return { kind: 'found', value, contentType, revision, version, expiresIn_ms, shard: shardName(shard) };
}
