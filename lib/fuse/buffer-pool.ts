/**
 * A bounded number of equal buffers, made when first needed and never given back to the system. Whoever finds none
 * waits until one is put back, so that requests beyond the bound stay queued in the kernel.
 */
export class BufferPool {
  readonly #bytes: number;
  readonly #max: number;
  readonly #free: Buffer[] = [];
  readonly #waiting: ((buffer: Buffer) => void)[] = [];
  #made = 0;

  constructor(bytes: number, max: number) {
    this.#bytes = bytes;
    this.#max = max;
  }

  /** Buffers that are in use. */
  get busy(): number {
    return this.#made - this.#free.length;
  }

  /** Calls back with a buffer, at once where there is one. */
  take(callback: (buffer: Buffer) => void): void {
    const buffer = this.#free.pop();
    if (buffer !== undefined) callback(buffer);
    else if (this.#made < this.#max) {
      this.#made++;
      callback(Buffer.allocUnsafeSlow(this.#bytes));
    } else this.#waiting.push(callback);
  }

  put(buffer: Buffer): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(buffer);
    else this.#free.push(buffer);
  }
}
