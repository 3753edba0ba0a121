/** Pieces of SVG as text. All text that comes from outside goes through `escaped`. */

export const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const fixed = (value: number): string => value.toFixed(1);

/** A rectangle that tells `title` when pointed at. */
export function rect({ x, y, width, height }: Box, kind: string, title = ''): string {
  const open = `<rect class="${kind}" x="${fixed(x)}" y="${fixed(y)}" width="${fixed(Math.max(width, 0.5))}" height="${fixed(height)}"`;
  return title === '' ? `${open}/>` : `${open}><title>${escaped(title)}</title></rect>`;
}

export function label(x: number, y: number, text: string, kind = 'label'): string {
  return `<text class="${kind}" x="${fixed(x)}" y="${fixed(y)}">${escaped(text)}</text>`;
}

export function line(x1: number, y1: number, x2: number, y2: number, kind: string, title = ''): string {
  const open = `<line class="${kind}" x1="${fixed(x1)}" y1="${fixed(y1)}" x2="${fixed(x2)}" y2="${fixed(y2)}"`;
  return title === '' ? `${open}/>` : `${open}><title>${escaped(title)}</title></line>`;
}
