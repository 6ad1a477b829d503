import { WireError } from '../../net/links.js';
import { wholeNumber } from './primitives.js';
import type { Encoding } from './wire-state.js';

/** An encoding for each of a type's fields, so that one that is new to the type is not forgotten here. */
export type Fields<Value> = { readonly [Name in keyof Value]-?: Encoding<Value[Name]> };

/** An object's fields, one behind the other in the order in which they are given here. */
export function record<Value extends object>(fields: Fields<Value>): Encoding<Value> {
  const names = Object.keys(fields) as (keyof Value)[];
  const encodings = Object.values(fields) as Encoding<Value[keyof Value]>[];
  return {
    preencode(state, value) {
      for (let at = 0; at < names.length; at++) encodings[at]!.preencode(state, value[names[at]!]);
    },
    encode(state, value) {
      for (let at = 0; at < names.length; at++) encodings[at]!.encode(state, value[names[at]!]);
    },
    decode(state) {
      const value = {} as Value;
      for (let at = 0; at < names.length; at++) value[names[at]!] = encodings[at]!.decode(state);
      return value;
    },
  };
}

/** What says which of several a value is, and is told once for all of it: nothing. */
export function constant<Value>(value: Value): Encoding<Value> {
  return { preencode: () => {}, encode: () => {}, decode: () => value };
}

/** Up to `max`, each of one byte at the least. */
export function list<Item>(item: Encoding<Item>, max: number, what: string): Encoding<readonly Item[]> {
  const count = wholeNumber(max, `number of ${what}`);
  return {
    preencode(state, items) {
      count.preencode(state, items.length);
      for (const each of items) item.preencode(state, each);
    },
    encode(state, items) {
      count.encode(state, items.length);
      for (const each of items) item.encode(state, each);
    },
    decode(state) {
      const length = count.decode(state);
      // Before anything is made of it.
      if (length > state.end - state.start) throw new WireError(`there are no ${length} ${what} in a message`);
      const items: Item[] = [];
      for (let at = 0; at < length; at++) items.push(item.decode(state));
      return items;
    },
  };
}

/** A value with what has to be so of it: `check` throws WireError. */
export function checked<Value>(encoding: Encoding<Value>, check: (value: Value) => void): Encoding<Value> {
  return {
    preencode: encoding.preencode,
    encode(state, value) {
      check(value);
      encoding.encode(state, value);
    },
    decode(state) {
      const value = encoding.decode(state);
      check(value);
      return value;
    },
  };
}

export function nullable<Value>(encoding: Encoding<Value>): Encoding<Value | null> {
  return {
    preencode(state, value) {
      state.end++;
      if (value !== null) encoding.preencode(state, value);
    },
    encode(state, value) {
      state.buffer[state.start++] = value === null ? 0 : 1;
      if (value !== null) encoding.encode(state, value);
    },
    decode(state) {
      const byte = state.buffer[state.take(1)]!;
      if (byte > 1) throw new WireError(`${byte} is neither something nor nothing`);
      return byte === 0 ? null : encoding.decode(state);
    },
  };
}

/** One of several, by a byte that no other of them ever had. */
export interface Option<Value> {
  readonly byte: number;
  readonly encoding: Encoding<Value>;
}

export function option<Value>(byte: number, encoding: Encoding<Value>): Option<Value> {
  return { byte, encoding };
}

/** An option for each name that tells which of a union's types a value has. */
type Options<Union, Tag extends keyof Union> = {
  readonly [Name in Union[Tag] & string]: Option<Extract<Union, { readonly [Each in Tag]: Name }>>;
};

/** A value of a union of which the field `tag` says which of them it is. */
export function choice<Union extends object, Tag extends keyof Union & string>(
  tag: Tag,
  what: string,
  options: Options<Union, Tag>,
): Encoding<Union> {
  const byName = options as Readonly<Record<string, Option<Union> | undefined>>;
  const byByte = byNumber(Object.values(options) as Option<Union>[]);
  const find = (value: Union) => {
    const found = byName[value[tag] as string];
    if (found === undefined) throw new WireError(`no ${what} is called ${value[tag]}`);
    return found;
  };
  return {
    preencode(state, value) {
      state.end++;
      find(value).encoding.preencode(state, value);
    },
    encode(state, value) {
      const { byte, encoding } = find(value);
      state.buffer[state.start++] = byte;
      encoding.encode(state, value);
    },
    decode(state) {
      const byte = state.buffer[state.take(1)]!;
      const encoding = byByte[byte];
      if (encoding === undefined) throw new WireError(`there is no ${what} with the number ${byte}`);
      return encoding.decode(state);
    },
  };
}

/** Their encodings by their numbers. */
export function byNumber<Value>(options: readonly Option<Value>[]): readonly (Encoding<Value> | undefined)[] {
  const found: (Encoding<Value> | undefined)[] = [];
  for (const { byte, encoding } of options) {
    if (found[byte] !== undefined) throw new Error(`two kinds have the number ${byte}`);
    found[byte] = encoding;
  }
  return found;
}

/** One of some words, by its place among them: further ones come behind. */
export function word<Word extends string>(words: readonly Word[], what: string): Encoding<Word> {
  const place = wholeNumber(words.length - 1, what);
  return {
    preencode: (state, value) => place.preencode(state, words.indexOf(value)),
    encode: (state, value) => place.encode(state, words.indexOf(value)),
    decode: (state) => words[place.decode(state)]!,
  };
}
