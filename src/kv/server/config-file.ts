/** Reads a node's YAML file into plain data; says in one line what is wrong with it, and where. */
import { readFileSync } from 'node:fs';
import { parseDocument } from 'yaml';

export type ConfigFile =
  | { readonly ok: true; readonly data: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly error: string };

/** An empty file is an empty configuration. YAML 1.2, one document, no repeated fields. */
export function parseConfigText(name: string, text: string): ConfigFile {
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) {
    const line = problem.linePos?.[0].line;
    const what = (problem.message.split('\n')[0] ?? '').replace(/ at line \d+, column \d+:?$/, '');
    return { ok: false, error: `${name}${line === undefined ? '' : `:${line}`}: no valid YAML: ${what}` };
  }
  let data: unknown;
  try {
    data = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    return { ok: false, error: `${name}: no valid YAML: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (data === null || data === undefined) return { ok: true, data: {} };
  if (typeof data !== 'object' || Array.isArray(data)) {
    return { ok: false, error: `${name}: must hold fields like "id: n1", not a single value or a list` };
  }
  return { ok: true, data: data as Record<string, unknown> };
}

export function readConfigFile(file: string): ConfigFile {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const why = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'is a directory' : code;
    return { ok: false, error: `cannot read the configuration ${file}: ${why}` };
  }
  return parseConfigText(file, text);
}
