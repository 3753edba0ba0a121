/** Takes the keys of a run away from a cluster that is not ours. */
import { QuorateClient } from '../../src/kv/client/index.js';

const AT_ONCE = 16;

export async function removeKeys(endpoints: readonly string[], prefix: string): Promise<void> {
  const client = new QuorateClient({ endpoints });
  try {
    for await (const page of client.listPages({ prefix, limit: 500, keysOnly: true })) {
      for (let i = 0; i < page.length; i += AT_ONCE) {
        await Promise.all(page.slice(i, i + AT_ONCE).map(({ key }) => client.delete(key)));
      }
    }
  } finally {
    client.close();
  }
}
