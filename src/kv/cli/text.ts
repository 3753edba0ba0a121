/** Values in the words of people. */
import { isUtf8 } from 'node:buffer';

/** Bytes as JSON shows them: text where they are UTF-8, else base64. */
export function encodedBytes(bytes: Uint8Array): { readonly text: string; readonly encoding: 'utf8' | 'base64' } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isUtf8(buffer)
    ? { text: buffer.toString('utf8'), encoding: 'utf8' }
    : { text: buffer.toString('base64'), encoding: 'base64' };
}

/** Fit for a terminal: control characters (which could move its cursor or worse) and bytes that are no text are escaped. */
export function printable(bytes: Uint8Array): string {
  const { text, encoding } = encodedBytes(bytes);
  if (encoding === 'utf8') {
    return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\\]/gu, (character) =>
      JSON.stringify(character)
        .slice(1, -1)
        .replace(/^[^\\].*$/su, (odd) => `\\u{${odd.codePointAt(0)?.toString(16)}}`),
    );
  }
  let escaped = '';
  for (const byte of bytes) {
    escaped +=
      byte >= 0x20 && byte < 0x7f && byte !== 0x5c
        ? String.fromCharCode(byte)
        : `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return escaped;
}

export const shorten = (text: string, length: number): string =>
  text.length <= length ? text : `${text.slice(0, length - 1)}…`;

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `1.5 MiB`; `-` for what is not known. */
export function byteText(bytes: number | null): string {
  if (bytes === null) return '-';
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

export const countText = (count: number | null): string => (count === null ? '-' : String(count));

/** `850ms`, `12.3s`, `4m10s`, `3h05m`; `-` for what is not known. */
export function durationText(duration_ms: number | null): string {
  if (duration_ms === null) return '-';
  if (duration_ms < 1_000) return `${Math.round(duration_ms)}ms`;
  if (duration_ms < 60_000) return `${(duration_ms / 1_000).toFixed(1)}s`;
  const seconds = Math.round(duration_ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, '0')}s`;
  return `${Math.floor(seconds / 3_600)}h${String(Math.floor((seconds % 3_600) / 60)).padStart(2, '0')}m`;
}

export function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  return pairs.length === 0 ? '-' : pairs.join(',');
}

/** Weights are shown where somebody has given one. */
export const areWeighed = (shards: readonly { readonly weight?: number }[]): boolean =>
  shards.some(({ weight = 1 }) => weight !== 1);
