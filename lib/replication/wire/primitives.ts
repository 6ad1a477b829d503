import c from 'compact-encoding';
import { WireError } from '../../net/links.js';
import { FIELD_MAX, OBJECT_BYTES } from '../../store/constants.js';
import { COPIES_MAX, GROUPS_MAX } from './limits.js';
import type { Encoding, WireState } from './wire-state.js';

/** The first byte of a number that does not fit it says how many there are behind it; with all ones, eight. */
const TWO_BYTES = 0xfd;
const FOUR_BYTES = 0xfe;
/** The lowest numbers that need four bytes, and eight. */
const FOUR_BYTES_MIN = 2 ** 16;
const EIGHT_BYTES_MIN = 2 ** 32;

/** A whole number from `min`, not negative, to `max`, as `compact-encoding` writes one. */
export function wholeNumber(max: number, what: string, min = 0): Encoding<number> {
  const check = (value: number) => {
    if (!(value >= min && value <= max)) throw new WireError(`${what} ${value} is not from ${min} to ${max}`);
  };
  return {
    preencode(state, value) {
      c.uint.preencode(state, value);
    },
    encode(state, value) {
      check(value);
      if (!Number.isSafeInteger(value)) throw new WireError(`${what} ${value} is not a whole number`);
      c.uint.encode(state, value);
    },
    decode(state) {
      const value = readNumber(state);
      check(value);
      return value;
    },
  };
}

/** Of the ways to write a number only the shortest is one. */
function readNumber(state: WireState): number {
  const first = state.buffer[state.take(1)]!;
  if (first < TWO_BYTES) return first;
  const { buffer } = state;
  let value: number;
  let min: number;
  if (first === TWO_BYTES) {
    value = buffer.readUInt16LE(state.take(2));
    min = TWO_BYTES;
  } else if (first === FOUR_BYTES) {
    value = buffer.readUInt32LE(state.take(4));
    min = FOUR_BYTES_MIN;
  } else {
    const at = state.take(8);
    value = buffer.readUInt32LE(at) + buffer.readUInt32LE(at + 4) * EIGHT_BYTES_MIN;
    min = EIGHT_BYTES_MIN;
  }
  if (value < min) throw new WireError(`the number ${value} is written longer than it is`);
  return value;
}

/** Of what is never used again: requests, epochs, incarnations, generations, sequences. Also a position in an image. */
export const counter = wholeNumber(Number.MAX_SAFE_INTEGER, 'number');
/** Of an image, a family, a layer, an index, a disk. */
export const field = wholeNumber(FIELD_MAX, 'number');
export const copies = wholeNumber(COPIES_MAX, 'number of copies', 1);
export const group = wholeNumber(GROUPS_MAX - 1, 'group');
/** A position in an object, or a length of a part of it. */
export const objectBytes = wholeNumber(OBJECT_BYTES, 'number of bytes of an object');

/** A whole number from -1, for none, to `max`: one more is written. */
export function fromMinusOne(max: number, what: string): Encoding<number> {
  const encoding = wholeNumber(max + 1, what);
  return {
    preencode: (state, value) => encoding.preencode(state, value + 1),
    encode: (state, value) => encoding.encode(state, value + 1),
    decode: (state) => encoding.decode(state) - 1,
  };
}

export const boolean: Encoding<boolean> = {
  preencode: c.bool.preencode,
  encode: c.bool.encode,
  decode(state) {
    const byte = state.buffer[state.take(1)]!;
    if (byte > 1) throw new WireError(`${byte} is neither true nor false`);
    return byte === 1;
  },
};

const DOUBLE_BYTES = 8;
/** Seconds that fit 64 bits, as the kernel has them. */
const SECONDS_MAX = 2 ** 63;

/** Whole seconds since 1970, or before: with more of them than a double counts exactly, those that it has. */
export const seconds: Encoding<number> = {
  preencode(state) {
    state.end += DOUBLE_BYTES;
  },
  encode(state, value) {
    checkSeconds(value);
    // Of two zeros there is one.
    state.start = state.buffer.writeDoubleLE(value + 0, state.start);
  },
  decode(state) {
    const value = state.buffer.readDoubleLE(state.take(DOUBLE_BYTES));
    checkSeconds(value);
    if (Object.is(value, -0)) throw new WireError('a zero has a sign');
    return value;
  },
};

function checkSeconds(value: number): void {
  if (!Number.isInteger(value) || Math.abs(value) > SECONDS_MAX) throw new WireError(`${value} is no time in seconds`);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** UTF-8 of so many bytes at most. */
export function text(bytesMax: number, what: string): Encoding<string> {
  const length = wholeNumber(bytesMax, `length of ${what}`);
  return {
    preencode(state, value) {
      const bytes = Buffer.byteLength(value);
      length.preencode(state, bytes);
      state.end += bytes;
    },
    encode(state, value) {
      if (/\p{Surrogate}/u.test(value)) throw new WireError(`${what} is no Unicode text`);
      length.encode(state, Buffer.byteLength(value));
      state.start += state.buffer.write(value, state.start);
    },
    decode(state) {
      const bytes = length.decode(state);
      const start = state.take(bytes);
      try {
        return utf8.decode(state.buffer.subarray(start, start + bytes));
      } catch {
        // All that it can throw for.
        throw new WireError(`${what} is no UTF-8`);
      }
    },
  };
}

/** Data of an object, in the bulk. */
export const bulk: Encoding<Buffer> = {
  preencode(state, value) {
    objectBytes.preencode(state, value.length);
  },
  encode(state, value) {
    objectBytes.encode(state, value.length);
    if (value.length > 0) state.parts.push(value);
  },
  decode: (state) => state.takeBulk(objectBytes.decode(state)),
};
