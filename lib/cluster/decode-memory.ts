/** Values that are remembered, at most; the oldest are forgotten. */
const VALUES_MAX = 256;
/** Longer texts, in characters, are decoded each time. */
const TEXT_MAX = 4096;

/**
 * What texts of the coordination store were decoded to: the same are read again and again, and checking one against its
 * schema takes ten times as long as finding it here. Whoever asks gets the same value, which nobody changes.
 */
export class DecodeMemory<Value> {
  readonly #values = new Map<string, Value>();

  /** What `decode` makes of the text, or has made of it before. What it throws is not remembered. */
  decode(bytes: Uint8Array, decode: (text: string) => Value): Value {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
    const known = this.#values.get(text);
    if (known !== undefined) return known;
    const value = decode(text);
    if (text.length > TEXT_MAX) return value;
    for (const oldest of this.#values.keys()) {
      if (this.#values.size < VALUES_MAX) break;
      this.#values.delete(oldest);
    }
    this.#values.set(text, value);
    return value;
  }
}
