/** A map by two numbers. Two plain maps: a pair does not fit one number, and a string would cost an allocation. */
export class PairTable<T> {
  readonly #rows = new Map<number, Map<number, T>>();

  get(first: number, second: number): T | undefined {
    return this.#rows.get(first)?.get(second);
  }

  set(first: number, second: number, value: T): void {
    let row = this.#rows.get(first);
    if (!row) {
      row = new Map();
      this.#rows.set(first, row);
    }
    row.set(second, value);
  }

  delete(first: number, second: number): void {
    const row = this.#rows.get(first);
    if (row?.delete(second) && row.size === 0) this.#rows.delete(first);
  }

  /** Those whose first number is `first`. */
  valuesOf(first: number): Iterable<T> {
    return this.#rows.get(first)?.values() ?? [];
  }

  *values(): Generator<T> {
    for (const row of this.#rows.values()) yield* row.values();
  }
}
