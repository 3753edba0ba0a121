/**
 * Rows in byte order, with forks for next to nothing: a B+ tree whose nodes are copied on the first write after a fork.
 *
 * Every tree holds a token; a node that carries the tree's token belongs to it alone and may be changed in place, any
 * other is copied first. `fork` gives both sides fresh tokens, so neither can disturb the other. Deletes don't rebalance,
 * they only drop nodes that have become empty: depth is bounded by what was once inserted, which is fine for a simulator.
 */

const NODE_KEYS_MAX = 32;

type Token = object;

interface Leaf {
  readonly token: Token;
  readonly keys: Buffer[];
  readonly values: Buffer[];
}

interface Inner {
  readonly token: Token;
  /** keys[i] is a lower bound of children[i]; keys[0] is never looked at. */
  readonly keys: Buffer[];
  readonly children: Node[];
}

type Node = Leaf | Inner;

const isLeaf = (node: Node): node is Leaf => 'values' in node;

/** As `Buffer.compare`, which for keys as short as ours takes longer to call than to do. */
function compare(a: Uint8Array, b: Uint8Array): number {
  const common = Math.min(a.length, b.length);
  for (let i = 0; i < common; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}

/** First position whose key is not below `key`. */
function lowerBound(keys: readonly Buffer[], key: Uint8Array): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(keys[middle]!, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The child that `key` belongs under: the last one whose bound is not above it. */
function childIndex({ keys }: Inner, key: Uint8Array): number {
  let low = 1;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(keys[middle]!, key) <= 0) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

export class OrderedRows {
  #token: Token = {};
  #root: Node;
  #size = 0;
  #bytes = 0;

  constructor() {
    this.#root = { token: this.#token, keys: [], values: [] };
  }

  get size(): number {
    return this.#size;
  }

  /** Bytes of all keys and values. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A tree with the same rows; later changes to either are not seen by the other. O(1). */
  fork(): OrderedRows {
    const other = new OrderedRows();
    other.#root = this.#root;
    other.#size = this.#size;
    other.#bytes = this.#bytes;
    this.#token = {};
    return other;
  }

  get(key: Uint8Array): Buffer | undefined {
    let node = this.#root;
    while (!isLeaf(node)) node = node.children[childIndex(node, key)]!;
    const at = lowerBound(node.keys, key);
    return at < node.keys.length && compare(node.keys[at]!, key) === 0 ? node.values[at] : undefined;
  }

  /** Keeps both buffers. Returns what the key had before. */
  put(key: Buffer, value: Buffer): Buffer | undefined {
    const root = this.#owned(this.#root);
    const before = this.#putInto(root, key, value);
    this.#root = root.keys.length > NODE_KEYS_MAX ? this.#splitRoot(root) : root;
    this.#bytes += value.length - (before === undefined ? -key.length : before.length);
    if (before === undefined) this.#size++;
    return before;
  }

  /** Returns what the key had before. */
  delete(key: Uint8Array): Buffer | undefined {
    if (this.get(key) === undefined) return undefined;
    const root = this.#owned(this.#root);
    const before = this.#deleteFrom(root, key);
    this.#root = root;
    while (!isLeaf(this.#root) && this.#root.children.length === 1) this.#root = this.#root.children[0]!;
    if (!isLeaf(this.#root) && this.#root.children.length === 0) {
      this.#root = { token: this.#token, keys: [], values: [] };
    }
    this.#size--;
    this.#bytes -= key.length + before.length;
    return before;
  }

  /** Visits rows with gte <= key < lt in order until `visit` returns false. */
  scan(gte: Uint8Array, lt: Uint8Array | null, visit: (key: Buffer, value: Buffer) => boolean): void {
    this.#scanNode(this.#root, gte, lt, visit);
  }

  #owned(node: Node): Node {
    if (node.token === this.#token) return node;
    return isLeaf(node)
      ? { token: this.#token, keys: node.keys.slice(), values: node.values.slice() }
      : { token: this.#token, keys: node.keys.slice(), children: node.children.slice() };
  }

  #putInto(node: Node, key: Buffer, value: Buffer): Buffer | undefined {
    if (!isLeaf(node)) {
      const at = childIndex(node, key);
      const child = this.#owned(node.children[at]!);
      node.children[at] = child;
      const before = this.#putInto(child, key, value);
      if (child.keys.length > NODE_KEYS_MAX) this.#splitChild(node, at, child);
      return before;
    }
    const at = lowerBound(node.keys, key);
    if (at < node.keys.length && compare(node.keys[at]!, key) === 0) {
      const before = node.values[at];
      node.values[at] = value;
      return before;
    }
    node.keys.splice(at, 0, key);
    node.values.splice(at, 0, value);
    return undefined;
  }

  /** Moves the upper half of `child` to a new sibling on its right. */
  #splitChild(parent: Inner, at: number, child: Node): void {
    // Rows that come in ascending order would leave every node half full: split those at the end.
    const half = at === parent.children.length - 1 ? child.keys.length - 2 : child.keys.length >>> 1;
    const keys = child.keys.splice(half);
    const right: Node = isLeaf(child)
      ? { token: this.#token, keys, values: child.values.splice(half) }
      : { token: this.#token, keys, children: child.children.splice(half) };
    parent.keys.splice(at + 1, 0, keys[0]!);
    parent.children.splice(at + 1, 0, right);
  }

  #splitRoot(root: Node): Node {
    const above: Inner = { token: this.#token, keys: [Buffer.alloc(0)], children: [root] };
    this.#splitChild(above, 0, root);
    return above;
  }

  /** The key is there. */
  #deleteFrom(node: Node, key: Uint8Array): Buffer {
    if (isLeaf(node)) {
      const at = lowerBound(node.keys, key);
      node.keys.splice(at, 1);
      return node.values.splice(at, 1)[0]!;
    }
    const at = childIndex(node, key);
    const child = this.#owned(node.children[at]!);
    node.children[at] = child;
    const before = this.#deleteFrom(child, key);
    if (child.keys.length === 0) {
      // The first bound stays: rows below the second one's may still come, and bounds must stay in order when it splits.
      node.keys.splice(at === 0 && node.keys.length > 1 ? 1 : at, 1);
      node.children.splice(at, 1);
    }
    return before;
  }

  /** False: stop. */
  #scanNode(
    node: Node,
    gte: Uint8Array,
    lt: Uint8Array | null,
    visit: (key: Buffer, value: Buffer) => boolean,
  ): boolean {
    if (isLeaf(node)) {
      for (let at = lowerBound(node.keys, gte); at < node.keys.length; at++) {
        const key = node.keys[at]!;
        if (lt !== null && compare(key, lt) >= 0) return false;
        if (!visit(key, node.values[at]!)) return false;
      }
      return true;
    }
    for (let at = childIndex(node, gte); at < node.children.length; at++) {
      if (!this.#scanNode(node.children[at]!, gte, lt, visit)) return false;
    }
    return true;
  }
}
