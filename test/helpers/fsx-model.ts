/** What a file has to hold: its size, and its bytes. Whatever lies beyond the size is zero. */
export class FileModel {
  readonly bytes: Buffer;
  size = 0;
  readonly #zeros = Buffer.alloc(1024 * 1024);

  constructor(sizeMax: number) {
    this.bytes = Buffer.alloc(sizeMax);
  }

  write(offset: number, data: Uint8Array): void {
    this.bytes.set(data, offset);
    this.grow(offset + data.length);
  }

  grow(end: number): void {
    this.size = Math.max(this.size, end);
  }

  truncate(size: number): void {
    if (size < this.size) this.bytes.fill(0, size, this.size);
    this.size = size;
  }

  /** Zeros within the size; the size stays. */
  zero(offset: number, length: number): void {
    const end = Math.min(offset + length, this.size);
    if (end > offset) this.bytes.fill(0, offset, end);
  }

  /** What a read has to answer: cut at the end of the file. */
  slice(offset: number, length: number): Buffer {
    return this.bytes.subarray(Math.min(offset, this.size), Math.min(offset + length, this.size));
  }

  isZero(start: number, end: number): boolean {
    for (let at = start; at < end; at += this.#zeros.length) {
      const length = Math.min(this.#zeros.length, end - at);
      if (this.bytes.compare(this.#zeros, 0, length, at, at + length) !== 0) return false;
    }
    return true;
  }
}
