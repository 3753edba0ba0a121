/** All workloads by name. */
import { APPEND } from './append.js';
import { BANK } from './bank.js';
import { COUNTER } from './counter.js';
import { LIST } from './list.js';
import { REGISTER } from './register.js';
import type { Workload } from './workload.js';

export const WORKLOADS: readonly Workload[] = [REGISTER, APPEND, COUNTER, LIST, BANK];
