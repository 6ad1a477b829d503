import { AdministrationError } from '../control/administration.js';
import { ClientError } from '../control/client-error.js';
import { printable } from './text.js';

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
/** As a shell has it for a program that SIGINT ended. */
export const EXIT_INTERRUPTED = 130;

/** Ends `dog` with one line on standard error. */
export class Failure extends Error {
  readonly code = 'FAILURE';
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT_FAILED) {
    super(message);
    this.name = 'Failure';
    this.exitCode = exitCode;
  }

  static usage(message: string): Failure {
    return new Failure(message, EXIT_USAGE);
  }
}

export function exitCodeOf(error: unknown): number {
  return error instanceof Failure ? error.exitCode : EXIT_FAILED;
}

/** The one line that says why it failed and what to do, without a newline. */
export function lineOf(error: unknown): string {
  if (error instanceof AdministrationError || error instanceof ClientError) {
    return oneLine(error.hint ? `${error.message}; ${error.hint}` : error.message);
  }
  return oneLine(error instanceof Error ? error.message : String(error));
}

/** Puts text of several lines on one. */
export function oneLine(text: string): string {
  return printable(
    text
      .trim()
      .split(/\s*\n\s*/)
      .join(' '),
  );
}
