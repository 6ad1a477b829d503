/** As other programs have it for a mistake in how they were called. */
export const EXIT_USAGE = 2;
export const EXIT_FAILED = 1;

export type ConfigurationErrorCode = 'USAGE' | 'BAD_FILE' | 'NO_FILE';

/** What is wrong with the options: one line for each mistake. */
export class ConfigurationError extends Error {
  readonly code: ConfigurationErrorCode;
  readonly lines: readonly string[];

  constructor(code: ConfigurationErrorCode, lines: readonly string[]) {
    super(lines.join('\n'));
    this.name = 'ConfigurationError';
    this.code = code;
    this.lines = lines;
  }

  /** What is written stays wrong until it is changed; a file that cannot be read may be there later. */
  get exitCode(): number {
    return this.code === 'NO_FILE' ? EXIT_FAILED : EXIT_USAGE;
  }
}
