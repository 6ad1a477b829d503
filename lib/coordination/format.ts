import { CoordinationError } from './coordination.js';

/** Of the records in the store, whichever engine has it. A store of another number is refused. */
export const FORMAT = 1;

/**
 * Throws CoordinationError WRONG_FORMAT unless a store that calls itself `format` can be read.
 *
 * @param where the store, in words, for the error.
 */
export function checkFormat(format: string, where: string): void {
  if (Number(format) === FORMAT) return;
  throw new CoordinationError(
    'WRONG_FORMAT',
    `${where} has format ${format}, this release reads ${FORMAT}: use a newer release`,
  );
}
