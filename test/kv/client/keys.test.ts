import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeBytes, encodeKeyPath, keyBytes } from '../../../src/kv/client/index.js';
import { fixture, raw } from './fake-cluster.js';

/** What a server takes out of a request target, told by the contract alone. */
function keyOfUrl(url: string): Buffer {
  // Through the URL parser first, as every HTTP client does: this is where segments collapse.
  const { pathname, searchParams } = new URL(url);
  const path = pathname.slice('/v1/kv/'.length);
  const bytes = Buffer.from(
    path.replace(/%([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
  return searchParams.get('enc') === 'b64url' ? Buffer.from(bytes.toString('latin1'), 'base64url') : bytes;
}

/** Keys where slashes and dots are common. */
const anyKey = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 64 }),
  fc
    .array(fc.constantFrom('/', '.', '..', '%', '+', ' ', '?', '#', 'a', '%2e', 'é', '\\', '\0'), {
      minLength: 1,
      maxLength: 8,
    })
    .map((parts) => new Uint8Array(Buffer.from(parts.join('')))),
);

describe('keys in URLs', () => {
  test('any key arrives as it was sent', async () => {
    const { client, sent } = fixture(() => raw('v'));
    await fc.assert(
      fc.asyncProperty(anyKey, async (key) => {
        await client.get(key);
        expect(keyOfUrl(sent.at(-1)?.url ?? '')).toEqual(Buffer.from(key));
      }),
      { seed: 7, numRuns: 500 },
    );
  });

  test('any bytes survive a query', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const text = encodeBytes(bytes);
        expect(text).toMatch(/^[A-Za-z0-9\-._~%]*$/);
        expect(
          Buffer.from(
            text.replace(/%(..)/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
            'latin1',
          ),
        ).toEqual(Buffer.from(bytes));
      }),
      { seed: 7 },
    );
  });

  test.each([
    ['users/42', 'users/42', false],
    ['a b+c', 'a%20b%2Bc', false],
    ['ключ', '%D0%BA%D0%BB%D1%8E%D1%87', false],
    ['...', '...', false],
    ['.', 'Lg', true],
    ['a/../b', 'YS8uLi9i', true],
    ['a//b', 'YS8vYg', true],
    ['/a', 'L2E', true],
    ['a/', 'YS8', true],
  ])('%s', (key, path, base64url) => {
    expect(encodeKeyPath(keyBytes(key))).toEqual({ path, base64url });
  });

  test('text that has no UTF-8 is refused, not changed', async () => {
    const { client, sent } = fixture(() => raw('v'));
    await expect(client.get('a\ud800')).rejects.toMatchObject({ code: 'invalid_key' });
    expect(sent).toEqual([]);
  });
});
