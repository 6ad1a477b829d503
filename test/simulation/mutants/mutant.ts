import type { BegunKind } from '../fault-rates.js';

/** A place in the compiled code, and what is put there. */
export interface Edit {
  /** Path of the compiled module below dist/. */
  readonly file: string;
  /** The exact text, which occurs once in the file. */
  readonly find: string;
  readonly replace: string;
}

/** A wrong version of the code that is shipped. */
export interface Mutant {
  readonly name: string;
  /** The sentence of the design that it breaks. */
  readonly why: string;
  /** Several where one change alone would only make the code stand still. */
  readonly edits: readonly Edit[];
  /** Faults that can show it; those that a simulation has by default where there are none. */
  readonly kinds?: readonly BegunKind[];
  /** Faults come so many times as often, where what a simulation has by default is too much or too little. */
  readonly roughness?: number;
  /** Of turns, those that the administrator has as well, likewise. */
  readonly administration?: number;
  /** Turns of guests in each seed, likewise. */
  readonly steps?: number;
  /** The scenario that caught it before: it is played first. */
  readonly scenario?: string;
  /** Those that caught it before, with these faults, and so many turns: they are run next. */
  readonly seeds?: readonly number[];
  /** Test files that can show it, which are run before new seeds. */
  readonly tests?: readonly string[];
}

export class MutantError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MutantError';
  }
}

/** The file's text with the edit made. Throws MutantError where the text to be replaced is not there exactly once. */
export function edited(text: string, { file, find, replace }: Edit): string {
  const at = text.indexOf(find);
  if (at < 0) throw new MutantError(`${file} has no ${JSON.stringify(find)}`);
  if (text.indexOf(find, at + 1) >= 0) throw new MutantError(`${file} has ${JSON.stringify(find)} more than once`);
  return text.slice(0, at) + replace + text.slice(at + find.length);
}
