/** How the controller's leader goes while its driver makes a call. Its successor is there 200 ms later. */
import type { SimScheduler } from '../sim/fakes/clock.js';
import type { Fate } from './driver-world.js';

/** A controller with a driver at work. */
interface Led {
  readonly scheduler: SimScheduler;
  crash(): void;
  cutOff(): void;
}

export const LEADER_ENDS: Readonly<Record<string, (world: Led) => Fate>> = {
  'dies before the call arrives': (world) => {
    world.crash();
    return { request: 'lost' };
  },
  'dies after the call has arrived': (world) => {
    world.scheduler.after(4, () => world.crash());
    return { answer: 'lost' };
  },
  'dies, and the call arrives when its successor is at work': (world) => {
    world.crash();
    return { request: 'lost', again_ms: 260 };
  },
  'dies, and the call arrives long after': (world) => {
    world.crash();
    return { request: 'lost', again_ms: 5_000 };
  },
  'is cut off, does not know it and goes on': (world) => {
    world.cutOff();
    return {};
  },
};
