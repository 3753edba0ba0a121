/** Keys as bytes: what a socket may carry in a request line, and what must never happen to it. */
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { decodePercent, encodePercent, handleApi } from '../../../src/kv/http/index.js';
import { ApiFixture } from './api-fixture.js';
import { FakeKv } from './fake-services.js';

let api: ApiFixture;
beforeAll(async () => {
  api = await new ApiFixture().start();
});
beforeEach(() => {
  api.kv.requests.length = 0;
});
afterAll(() => api.stop());

function askedKey(): string {
  return Buffer.from(api.kv.requests.at(-1)!.request.key).toString('latin1');
}

describe('paths are taken literally', () => {
  it.each([
    ['/v1/kv/users/42', 'users/42'],
    ['/v1/kv/../etc', '../etc'],
    ['/v1/kv/..', '..'],
    ['/v1/kv/.', '.'],
    ['/v1/kv/a/./b/../c', 'a/./b/../c'],
    ['/v1/kv//', '/'],
    ['/v1/kv//a//b//', '/a//b//'],
    ['/v1/kv/%2F', '/'],
    ['/v1/kv/a%2fb', 'a/b'],
    ['/v1/kv/%2e%2e', '..'],
    ['/v1/kv/a+b', 'a+b'],
    ['/v1/kv/a%20b', 'a b'],
    ['/v1/kv/%FF%fe', '\xff\xfe'],
    ['/v1/kv/%00', '\0'],
    ['/v1/kv/a%00b', 'a\0b'],
    ['/v1/kv/%25', '%'],
    ['/v1/kv/%253F', '%3F'],
    ['/v1/kv/a%3Fb', 'a?b'],
    ['/v1/kv/a&b=c;d', 'a&b=c;d'],
    ['/v1/kv/a?', 'a'],
    ['/v1/kv/{tag}x', '{tag}x'],
    ['http://elsewhere:99/v1/kv/a', 'a'],
    ['/v1/kv/Li4?enc=b64url', '..'],
    ['/v1/kv/_-8?enc=b64url', '\xff\xef'],
    ['/v1/kv/_-8=?enc=b64url', '\xff\xef'],
    ['/v1/kv/YQ==?enc=b64url', 'a'],
    ['/v1/kv/YQ%3D%3D?enc=b64url', 'a'],
    ['/v1/kv/YWFh?enc=b64url', 'aaa'],
  ])('%j is the key %j', async (target, key) => {
    const reply = await api.raw('GET', target);
    expect([reply.status, askedKey()]).toEqual([404, key]);
  });

  it.each([
    ['/v1/kv/', 'invalid_key'],
    ['/v1/kv/?timeout=1s', 'invalid_key'],
    ['/v1/kv/?enc=b64url', 'invalid_key'],
    ['/v1/kv/%', 'invalid_key'],
    ['/v1/kv/%4', 'invalid_key'],
    ['/v1/kv/a%zz', 'invalid_key'],
    ['/v1/kv/%4?timeout=1s', 'invalid_key'],
    ['/v1/kv/a#b', 'invalid_key'],
    ['/v1/kv/Li4==?enc=b64url', 'invalid_key'],
    ['/v1/kv/YQ=?enc=b64url', 'invalid_key'],
    ['/v1/kv/YQ===?enc=b64url', 'invalid_key'],
    ['/v1/kv/YR==?enc=b64url', 'invalid_key'],
    ['/v1/kv/YWFh=?enc=b64url', 'invalid_key'],
    ['/v1/kv/YQ==YQ==?enc=b64url', 'invalid_key'],
    ['/v1/kv/==?enc=b64url', 'invalid_key'],
    ['/v1/kv/====?enc=b64url', 'invalid_key'],
    ['/v1/kv/Li5?enc=b64url', 'invalid_key'],
    ['/v1/kv/Lg+/?enc=b64url', 'invalid_key'],
    ['/v1/kv/A?enc=b64url', 'invalid_key'],
    ['/v1/kv/\xc3\xa9', 'invalid_key'],
    ['/v1/cluster?\xc3\xa9', 'invalid_argument'],
    ['/v1/kv/a?%zz=1', 'invalid_argument'],
    ['/v1/kv?prefix=%', 'invalid_key'],
    ['/v1/kv?start=*&enc=b64url', 'invalid_key'],
    ['/v1/kv?limit=%', 'invalid_argument'],
    ['/v1/cluster/locate?key=%f', 'invalid_key'],
    ['/v1/cluster/locate?key=', 'invalid_key'],
    ['/v1/cluster/locate', 'invalid_key'],
    ['/v1/admin/reshard/%FF', 'invalid_argument'],
    ['/%', 'invalid_argument'],
    ['/%C3%28', 'invalid_argument'],
  ])('%j is 400 %s', async (target, code) => {
    const reply = await api.raw('GET', target);
    expect([reply.status, JSON.parse(reply.body).code]).toEqual([400, code]);
    expect(reply.head).toContain('Content-Type: application/problem+json');
    expect(reply.body).not.toMatch(/\bat .*:\d+:\d+/);
    expect(api.kv.requests).toEqual([]);
  });

  it.each(['/v1/kvx', '/v1/KV/a', '/v2/kv/a', '/', '//v1/kv/a', '/v1', '*'])('%j is 404 not_found', async (target) => {
    const reply = await api.raw('GET', target);
    expect([reply.status, JSON.parse(reply.body).code]).toEqual([404, 'not_found']);
  });

  it('a key of 1,024 bytes is the longest, however it is written', async () => {
    const padded = `${'YWFh'.repeat(341)}YQ==`;
    const escaped = padded.replace(/./g, (c) => `%${c.charCodeAt(0).toString(16)}`);
    const base64url = [padded.slice(0, -2), padded, escaped].map((text) => `${text}?enc=b64url`);
    for (const key of ['a'.repeat(1_024), '%FF'.repeat(1_024), ...base64url]) {
      expect((await api.raw('GET', `/v1/kv/${key}`)).status).toBe(404);
      expect(askedKey()).toHaveLength(1_024);
    }
    const tooLong = ['a'.repeat(1_025), '%FF'.repeat(1_025), `${'YWFh'.repeat(341)}YWE?enc=b64url`, 'a'.repeat(9_000)];
    for (const key of [...tooLong, 'a'.repeat(50_000)]) {
      const reply = await api.raw('GET', `/v1/kv/${key}`);
      expect([reply.status, JSON.parse(reply.body).code]).toEqual([414, 'key_too_large']);
    }
  });

  it('shows a key that is no UTF-8 as base64', async () => {
    const reply = await api.call('PUT', '/v1/kv/%FF%00', { body: 'x' });
    expect(reply.json()).toMatchObject({ key: '/wA=', key_encoding: 'base64' });
    const bom = await api.call('PUT', '/v1/kv/%EF%BB%BFx', { body: 'x' });
    expect(bom.json()).toMatchObject({ key: '\ufeffx', key_encoding: 'utf8' });
  });
});

describe('properties', () => {
  const key = fc.uint8Array({ minLength: 1, maxLength: 1_024 });

  it('any key survives encoder and decoder', () => {
    fc.assert(
      fc.property(key, (bytes) => {
        const text = encodePercent(bytes);
        expect(decodePercent(text, 0, text.length, false)).toEqual(Buffer.from(bytes));
        expect(decodePercent(text, 0, text.length, true)).toEqual(Buffer.from(bytes));
      }),
      { seed: 1 },
    );
  });

  it('any key reaches the service as it is, by path and by base64url', async () => {
    const kv = new FakeKv();
    await fc.assert(
      fc.asyncProperty(key, async (bytes) => {
        const base64url = Buffer.from(bytes).toString('base64url');
        const padded = base64url.padEnd(Math.ceil(base64url.length / 4) * 4, '=');
        for (const path of [encodePercent(bytes), `${base64url}?enc=b64url`, `${padded}?enc=b64url`]) {
          await handleApi(kv, { method: 'GET', url: `/v1/kv/${path}`, headers: {}, body: Buffer.alloc(0) });
          expect(Buffer.from(kv.requests.at(-1)!.request.key)).toEqual(Buffer.from(bytes));
        }
      }),
      { seed: 2 },
    );
  });

  it('any bytes in a request target are answered below 500 (but 501), as JSON where they are refused', async () => {
    const visible = fc.integer({ min: 0x21, max: 0xff }).filter((code) => code !== 0x7f);
    const piece = fc.oneof(
      visible.map((code) => String.fromCharCode(code)),
      fc.constantFrom('%', '%2', '%00', '%FF', '/', '..', '?', '&', '=', 'prefix=', 'cursor=', 'enc=b64url', 'limit='),
    );
    const root = fc.constantFrom('/', '/v1/kv', '/v1/kv/', '/v1/kv?', '/v1/cluster/locate?key=', '/v1/admin/reshard/');
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('GET', 'DELETE', 'POST'),
        root,
        fc.array(piece),
        async (method, start, pieces) => {
          const reply = await api.raw(method, start + pieces.join(''));
          expect(reply.status === 501 || (reply.status >= 200 && reply.status < 500)).toBe(true);
          if (reply.status >= 400) expect(reply.head).toContain('Content-Type: application/problem+json');
        },
      ),
      { seed: 3, numRuns: 400 },
    );
  });
});
