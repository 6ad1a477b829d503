/** An open file, as the file system knows it. */
export interface OpenFile {
  node: number;
  handle: number;
  /** As given to open(2). */
  flags: number;
}

/**
 * Open files under the small numbers that the binding can carry: it cuts handles to 31 bits and takes 0 for none.
 */
export class NativeHandles {
  readonly #files: (OpenFile | null)[] = [null];
  readonly #free: number[] = [];

  add(file: OpenFile): number {
    const number = this.#free.pop() ?? this.#files.length;
    this.#files[number] = file;
    return number;
  }

  get(number: number): OpenFile | null {
    return this.#files[number] ?? null;
  }

  remove(number: number): void {
    if (!this.#files[number]) return;
    this.#files[number] = null;
    this.#free.push(number);
  }

  /** A handle of the file, if it is open. */
  handleOf(node: number): number | null {
    return this.#files.find((file) => file?.node === node)?.handle ?? null;
  }
}
