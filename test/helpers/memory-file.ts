/** The bytes of a file in memory: chunks that are there, and holes. */
const CHUNK_BYTES = 64 * 1024;
const BLOCK_BYTES = 512;

export class MemoryFile {
  size = 0;
  readonly #chunks = new Map<number, Buffer>();

  /** 512-byte units. */
  get blocks(): number {
    return (this.#chunks.size * CHUNK_BYTES) / BLOCK_BYTES;
  }

  /** Answers the bytes read, fewer than the target holds only at the end. */
  read(offset: number, target: Buffer): number {
    const length = Math.max(0, Math.min(target.length, this.size - offset));
    each(offset, length, (index, start, from, count) => {
      const chunk = this.#chunks.get(index);
      if (chunk) chunk.copy(target, from, start, start + count);
      else target.fill(0, from, from + count);
    });
    return length;
  }

  write(offset: number, data: Uint8Array): void {
    each(offset, data.length, (index, start, from, count) => {
      this.#chunk(index).set(data.subarray(from, from + count), start);
    });
    if (data.length > 0) this.size = Math.max(this.size, offset + data.length);
  }

  truncate(size: number): void {
    if (size < this.size) this.discard(size, this.size - size);
    this.size = size;
  }

  /** Zeros, and no space where a whole chunk goes. */
  discard(offset: number, length: number): void {
    // Beyond the end there may be preallocated chunks, but nothing else.
    const end = Math.min(offset + length, this.#end());
    each(offset, Math.max(0, end - offset), (index, start, _from, count) => {
      if (count === CHUNK_BYTES) this.#chunks.delete(index);
      else this.#chunks.get(index)?.fill(0, start, start + count);
    });
  }

  allocate(offset: number, length: number): void {
    each(offset, length, (index) => {
      this.#chunk(index);
    });
  }

  /** The first byte of data, or of a hole, at or after the offset; null when there is no more data. */
  seek(offset: number, data: boolean): number | null {
    if (offset < 0 || offset >= this.size) return null;
    for (let at = offset; at < this.size; at = (Math.floor(at / CHUNK_BYTES) + 1) * CHUNK_BYTES) {
      if (this.#chunks.has(Math.floor(at / CHUNK_BYTES)) === data) return at;
    }
    return data ? null : this.size;
  }

  #chunk(index: number): Buffer {
    let chunk = this.#chunks.get(index);
    if (!chunk) {
      chunk = Buffer.alloc(CHUNK_BYTES);
      this.#chunks.set(index, chunk);
    }
    return chunk;
  }

  #end(): number {
    let last = -1;
    for (const index of this.#chunks.keys()) last = Math.max(last, index);
    return (last + 1) * CHUNK_BYTES;
  }
}

/** Cuts a range at chunks: calls with the chunk, the start in it, the position in the range, and the length. */
function each(
  offset: number,
  length: number,
  visit: (index: number, start: number, from: number, count: number) => void,
): void {
  for (let from = 0; from < length; ) {
    const index = Math.floor((offset + from) / CHUNK_BYTES);
    const start = (offset + from) % CHUNK_BYTES;
    const count = Math.min(CHUNK_BYTES - start, length - from);
    visit(index, start, from, count);
    from += count;
  }
}
