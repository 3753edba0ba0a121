/** The words that schemas are written in: JSON Schema, as far as the description needs it. */

export type Json = Readonly<Record<string, unknown>>;

export const text: Json = { type: 'string' };
export const integer: Json = { type: 'integer' };
export const number: Json = { type: 'number' };
export const optionalInteger: Json = { type: ['integer', 'null'] };
export const optionalText: Json = { type: ['string', 'null'] };
export const duration: Json = { type: 'string', pattern: '^[1-9][0-9]*(ms|s|m|h|d)$', examples: ['500ms', '8s'] };
export const keyEncoding: Json = { enum: ['utf8', 'base64'] };

export function object(properties: Json, optional: readonly string[] = []): Json {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required };
}

export function list(items: Json): Json {
  return { type: 'array', items };
}

export function ref(name: string): Json {
  return { $ref: `#/components/schemas/${name}` };
}
