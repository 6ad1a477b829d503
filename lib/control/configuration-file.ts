import { readFileSync } from 'node:fs';
import { parse, TomlError } from 'smol-toml';
import { ConfigurationError } from './configuration-error.js';
import { nearest } from './nearest.js';

/**
 * The options in a TOML file, as they are written there; null where there is no such file.
 *
 * Throws ConfigurationError BAD_FILE for a file that is no TOML or has unknown options, NO_FILE for one that cannot be
 * read.
 */
export function readConfigurationFile(path: string, known: readonly string[]): Record<string, unknown> | null {
  const text = readText(path);
  if (text === null) return null;
  const table = parseToml(path, text);
  const unknown = Object.keys(table).filter((key) => !known.includes(key));
  if (unknown.length > 0) {
    throw new ConfigurationError(
      'BAD_FILE',
      unknown.map((key) => `${path}: ${JSON.stringify(key)} is not an option${suggestion(key, known)}`),
    );
  }
  return table;
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    throw new ConfigurationError('NO_FILE', [`${path} cannot be read (${code})`]);
  }
}

function parseToml(path: string, text: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // What follows the first line shows the place, which the numbers name.
    const [reason = ''] = error.message.split('\n');
    throw new ConfigurationError('BAD_FILE', [`${path}, line ${error.line}, column ${error.column}: ${reason}`]);
  }
}

function suggestion(key: string, known: readonly string[]): string {
  const meant = nearest(key, known);
  return meant === null ? `; there are ${known.join(', ')}` : `; did you mean ${JSON.stringify(meant)}?`;
}
