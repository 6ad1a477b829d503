/** Seconds. A year: none is needed that is longer, and none overflows anything. */
export const DURATION_SECONDS_MAX = 366 * 24 * 60 * 60;

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 60 * 60, d: 24 * 60 * 60 };
const DURATION = /^(\d+)([smhd])$/;
const QUOTED_MAX = 40;

export class DurationError extends Error {
  readonly code = 'BAD_DURATION';

  constructor(message: string) {
    super(message);
    this.name = 'DurationError';
  }
}

/**
 * The seconds that a person's `90s`, `30m`, `12h` or `7d` stands for: a whole number above 0, and its unit.
 *
 * @throws DurationError, with one line that says what would do, for anything else and beyond DURATION_SECONDS_MAX.
 */
export function parseDuration(text: string): number {
  const [, number = '', unit = ''] = DURATION.exec(text.trim()) ?? [];
  const seconds = Number(number) * (UNIT_SECONDS[unit] ?? 0);
  if (seconds === 0) {
    throw new DurationError(`${quoted(text)} is no time: give a number with s, m, h or d, such as 30m, 12h or 7d`);
  }
  if (seconds > DURATION_SECONDS_MAX) throw new DurationError(`${quoted(text)} is too long: the longest time is 366d`);
  return seconds;
}

/** On one short line, whatever was typed. */
function quoted(text: string): string {
  return JSON.stringify(text.length > QUOTED_MAX ? `${text.slice(0, QUOTED_MAX)}…` : text);
}
