import { InvalidArgumentError } from 'commander';
import { type BegunKind, NO_FAULTS } from './fault-rates.js';

export function wholeNumber(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('a whole number');
  return Number(text);
}

export function factor(text: string): number {
  if (!(Number(text) > 0)) throw new InvalidArgumentError('a number above 0');
  return Number(text);
}

/** Kinds of faults, with commas. */
export function kindsOf(text: string): readonly BegunKind[] {
  const kinds = text.split(',').filter((kind) => kind !== '');
  const unknown = kinds.find((kind) => !Object.hasOwn(NO_FAULTS, kind));
  if (unknown !== undefined) throw new InvalidArgumentError(`${unknown} is none of ${Object.keys(NO_FAULTS).join()}`);
  return kinds as BegunKind[];
}
