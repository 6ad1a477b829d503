/** Bytes. The largest image: a whole number of objects that arithmetic on 64-bit floating point still counts exactly. */
export const SIZE_BYTES_MAX = 2 ** 53 - 4 * 1024 * 1024;

const UNITS = ['', 'K', 'M', 'G', 'T', 'P'];
const UNIT_STEP = 1024;
const QUOTED_MAX = 40;
const SIZE = /^(\d+)(\.\d+)?\s*(?:([KMGTP])(?:iB)?)?$/i;

export class SizeError extends Error {
  readonly code = 'BAD_SIZE';

  constructor(message: string) {
    super(message);
    this.name = 'SizeError';
  }
}

/**
 * The bytes that a person's `10G`, `1.5T`, `512` or `64MiB` stands for; units are powers of 1024, and a fraction of a
 * unit is rounded to whole bytes.
 *
 * Throws SizeError, with one line that says what would do, for anything else and beyond SIZE_BYTES_MAX.
 */
export function parseSize(text: string): number {
  const match = SIZE.exec(text.trim());
  if (match === null) {
    throw new SizeError(
      `${quoted(text)} is not a size: give bytes, or a number with K, M, G, T or P, such as 10G or 1.5T`,
    );
  }
  const [, whole = '', fraction = '', unit = ''] = match;
  if (fraction !== '' && unit === '') throw new SizeError(`${quoted(text)} is not a whole number of bytes`);
  const bytes = Math.round(Number(whole + fraction) * UNIT_STEP ** UNITS.indexOf(unit.toUpperCase()));
  if (bytes > SIZE_BYTES_MAX) {
    throw new SizeError(`${quoted(text)} is too large: the largest size is ${SIZE_BYTES_MAX} bytes (8P less 4M)`);
  }
  return bytes;
}

/**
 * Bytes for people: three digits or, below a unit's thousand, four, and the unit that parseSize reads; whole units
 * without a fraction. `10G`, `1.46T`, `1023K`, `512`.
 */
export function formatSize(bytes: number): string {
  if (bytes < 0) return `-${formatSize(-bytes)}`;
  let unit = 0;
  let value = bytes;
  while (unit < UNITS.length - 1 && Number(rounded(value)) >= UNIT_STEP) {
    value /= UNIT_STEP;
    unit++;
  }
  return rounded(value) + UNITS[unit];
}

function rounded(value: number): string {
  const decimals = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return String(Number(value.toFixed(decimals)));
}

/** On one short line, whatever was typed. */
function quoted(text: string): string {
  return JSON.stringify(text.length > QUOTED_MAX ? `${text.slice(0, QUOTED_MAX)}…` : text);
}
