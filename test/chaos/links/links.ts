/**
 * The network between nodes as nemeses see it: each direction between two nodes can be cut or made worse by itself. Two
 * adapters: proxies on loopback (`proxy-links.ts`, anywhere) and network namespaces (`namespace-links.ts`, as root).
 */

export interface Direction {
  readonly from: string;
  readonly to: string;
}

/** What happens to the bytes of one direction. */
export interface Weather {
  /** Nothing arrives, and nobody is told. */
  readonly cut: boolean;
  readonly delay_ms: number;
  /** Added to the delay, up to this much; the order of bytes is kept. */
  readonly jitter_ms: number;
  /** Chance that a piece is lost; TCP sends it again, so it and all after it come late. */
  readonly loss: number;
  /** Chance that a piece breaks its connection. */
  readonly reset: number;
}

export const FAIR: Weather = { cut: false, delay_ms: 0, jitter_ms: 0, loss: 0, reset: 0 };

export interface Links {
  readonly kind: 'proxy' | 'namespaces';
  /** Whether it can do more than cut. */
  readonly shapes: boolean;
  /** A node is at this place from now on; places are numbered as they were made. Its links are fair. */
  sit(id: string, place: number): void;
  /** It is gone: nothing of what was done to its links is left for whoever comes next. */
  leave(id: string): void;
  /** What is not named stays as it was. */
  set(directions: readonly Direction[], weather: Partial<Weather>): Promise<void>;
  /** Everything is fair again. */
  heal(): Promise<void>;
  close(): Promise<void>;
}

/** Directions from or to a node. */
export const touches = (id: string, { from, to }: Direction): boolean => from === id || to === id;

export const directionName = ({ from, to }: Direction): string => `${from}→${to}`;

export function directionOf(name: string): Direction {
  const [from = '', to = ''] = name.split('→');
  return { from, to };
}

/** Both ways between every one of `some` and every one of `others`. */
export function bothWays(some: readonly string[], others: readonly string[]): Direction[] {
  return some.flatMap((a) =>
    others.flatMap((b) =>
      a === b
        ? []
        : [
            { from: a, to: b },
            { from: b, to: a },
          ],
    ),
  );
}
