/** What it means that a shard carries too much: more than its fair share and a limit above it. */
import type { GroupId } from '../raft/index.js';

/** Requests a second, and bytes stored. */
export type Resource = 'load' | 'bytes';
export const RESOURCES: readonly Resource[] = ['load', 'bytes'];

/** A shard as it is weighed: what it carries, as fractions of what all carry. */
export interface Scale {
  readonly id: GroupId;
  readonly fair: number;
  load: number;
  bytes: number;
}

/** What each slot carries, as fractions of all; all 0 where there is too little to compare. */
export interface SlotShares {
  readonly load: Float64Array;
  readonly bytes: Float64Array;
}

/** Sums of fractions come out differently in another order, by less than this. */
export const ROUNDING = 1e-9;

export const isOverloaded = (shard: Scale, resource: Resource, limit: number): boolean =>
  shard[resource] > shard.fair * (1 + limit) + ROUNDING;
