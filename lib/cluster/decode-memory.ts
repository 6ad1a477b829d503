import { LRUCache } from 'lru-cache';

/** Values that are remembered, at most; those that were not asked for the longest are forgotten. */
const VALUES_MAX = 256;
/** Longer texts, in characters, are decoded each time. */
const TEXT_MAX = 4096;

/**
 * What texts of the coordination store were decoded to: the same are read again and again, and checking one against its
 * schema takes ten times as long as finding it here. Whoever asks gets the same value, which nobody changes.
 */
export class DecodeMemory<Value extends NonNullable<unknown>> {
  readonly #values = new LRUCache<string, Value>({ max: VALUES_MAX });

  /** What `decode` makes of the text, or has made of it before. What it throws is not remembered. */
  decode(bytes: Uint8Array, decode: (text: string) => Value): Value {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
    const known = this.#values.get(text);
    if (known !== undefined) return known;
    const value = decode(text);
    if (text.length <= TEXT_MAX) this.#values.set(text, value);
    return value;
  }
}
