/**
 * Content types in logs and on disk: one byte for the common ones, text for the rest. The table is part of both formats:
 * entries are only ever added at the end.
 */
const KNOWN = [
  'application/octet-stream',
  'text/plain',
  'text/plain; charset=utf-8',
  'text/plain;charset=UTF-8',
  'application/json',
  'application/x-www-form-urlencoded',
  'text/html',
  'application/xml',
] as const;

/** Followed by the text itself. */
export const EXPLICIT_TYPE = 255;

const CODES: ReadonlyMap<string, number> = new Map(KNOWN.map((type, code) => [type, code]));

export const contentTypeCode = (type: string): number => (type === KNOWN[0] ? 0 : (CODES.get(type) ?? EXPLICIT_TYPE));

/** undefined: no such code. */
export const contentTypeOfCode = (code: number): string | undefined => KNOWN[code];

/** Bytes of UTF-8 that a content type may have. */
export const CONTENT_TYPE_MAX_BYTES = 1_024;
