/** What the parts of one replica have in common. */
import type { GroupId, RaftCore, ReplicaId } from '../core/index.js';
import type { EventLevel, ReplicaEnvironment } from './environment.js';
import type { Life } from './life.js';

export interface ReplicaContext {
  readonly environment: ReplicaEnvironment;
  readonly group: GroupId;
  readonly id: ReplicaId;
  readonly core: RaftCore;
  readonly life: Life;
  /** There is something to do in the next turn. */
  readonly schedule: () => void;
  /** Its role, leader or health has changed. */
  readonly changed: () => void;
  readonly event: (level: EventLevel, text: string) => void;
}
