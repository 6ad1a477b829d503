import type { Random } from './random.js';

const CHUNK_BYTES = 64 * 1024;
export const SECTOR_BYTES = 512;

/**
 * The bytes of a file, as they are and as they are on disk. A chunk that is on disk is never changed in place: who
 * writes to it gets a copy first.
 */
export class VolatileFile {
  size = 0;
  /** Chunks that may differ from what is on disk, as do the sizes. */
  readonly #dirty = new Set<number>();
  readonly #current: Map<number, Buffer>;
  readonly #durable: Map<number, Buffer>;
  #durableSize: number;

  constructor(content: { chunks: Map<number, Buffer>; size: number } = { chunks: new Map(), size: 0 }) {
    this.#current = new Map(content.chunks);
    this.#durable = content.chunks;
    this.size = content.size;
    this.#durableSize = content.size;
  }

  /** Bytes for which there is memory, or would be blocks. */
  get bytes(): number {
    return this.#current.size * CHUNK_BYTES;
  }

  get dirtyBytes(): number {
    return this.#dirty.size * CHUNK_BYTES;
  }

  /** Answers the bytes read, fewer than the target holds only at the end. */
  read(offset: number, target: Buffer): number {
    const length = Math.max(0, Math.min(target.length, this.size - offset));
    each(offset, length, (index, start, from, count) => {
      const chunk = this.#current.get(index);
      if (chunk) chunk.copy(target, from, start, start + count);
      else target.fill(0, from, from + count);
    });
    return length;
  }

  write(offset: number, data: Uint8Array): void {
    each(offset, data.length, (index, start, from, count) => {
      this.#own(index).set(data.subarray(from, from + count), start);
    });
    if (data.length > 0) this.size = Math.max(this.size, offset + data.length);
  }

  /** Bytes that a write would need beyond those that are there. */
  growth(offset: number, length: number): number {
    let bytes = 0;
    each(offset, length, (index) => {
      if (!this.#current.has(index)) bytes += CHUNK_BYTES;
    });
    return bytes;
  }

  truncate(size: number): void {
    if (size < this.size) this.discard(size, this.size - size);
    this.size = size;
  }

  /** Zeros, and no memory where a whole chunk goes. */
  discard(offset: number, length: number): void {
    each(offset, length, (index, start, _from, count) => {
      if (!this.#current.has(index)) return;
      // What lies behind the end is zeros: the last chunk goes as a whole.
      if (start === 0 && (count === CHUNK_BYTES || index * CHUNK_BYTES + count >= this.size)) {
        this.#current.delete(index);
        this.#dirty.add(index);
      } else {
        this.#own(index).fill(0, start, start + count);
      }
    });
  }

  allocate(offset: number, length: number): void {
    each(offset, length, (index) => {
      this.#own(index);
    });
  }

  /** The first byte of data, or of a hole, at or after the offset; null when there is no more data. */
  seek(offset: number, data: boolean): number | null {
    if (offset < 0 || offset >= this.size) return null;
    for (let at = offset; at < this.size; at = (Math.floor(at / CHUNK_BYTES) + 1) * CHUNK_BYTES) {
      if (this.#current.has(Math.floor(at / CHUNK_BYTES)) === data) return at;
    }
    return data ? null : this.size;
  }

  /** All is on disk. */
  sync(): void {
    for (const index of this.#dirty) {
      const chunk = this.#current.get(index);
      if (chunk) this.#durable.set(index, chunk);
      else this.#durable.delete(index);
    }
    this.#dirty.clear();
    this.#durableSize = this.size;
  }

  /** The sectors of a range are on disk, and the size that is needed to find them. */
  syncRange(offset: number, length: number): void {
    each(offset, length, (index, start, _from, count) => {
      if (!this.#dirty.has(index)) return;
      const first = Math.floor(start / SECTOR_BYTES);
      const last = Math.ceil((start + count) / SECTOR_BYTES);
      this.#settle(index, (sector) => sector >= first && sector < last);
    });
    this.#durableSize = Math.max(this.#durableSize, offset + length);
  }

  /** Each sector that is not on disk, and the size, comes there with this probability. */
  settle(random: Random, probability: number): void {
    for (const index of [...this.#dirty]) this.#settle(index, () => random.chance(probability));
    if (random.chance(probability)) this.#durableSize = this.size;
  }

  /** What is on disk, for the file that a power cut leaves. */
  remains(): VolatileFile {
    const chunks = new Map<number, Buffer>();
    for (const [index, chunk] of this.#durable) {
      const visible = this.#durableSize - index * CHUNK_BYTES;
      if (visible >= CHUNK_BYTES) chunks.set(index, chunk);
      else if (visible > 0) chunks.set(index, Buffer.from(chunk).fill(0, visible));
    }
    return new VolatileFile({ chunks, size: this.#durableSize });
  }

  /** Brings chosen sectors of a chunk to disk. */
  #settle(index: number, chosen: (sector: number) => boolean): void {
    const current = this.#current.get(index);
    const durable = this.#durable.get(index);
    const mixed = durable ? Buffer.from(durable) : Buffer.alloc(CHUNK_BYTES);
    let left = 0;
    let settled = 0;
    for (let at = 0; at < CHUNK_BYTES; at += SECTOR_BYTES) {
      const end = at + SECTOR_BYTES;
      const same = current ? current.compare(mixed, at, end, at, end) === 0 : isZero(mixed, at, end);
      if (same) continue;
      if (!chosen(at / SECTOR_BYTES)) {
        left++;
        continue;
      }
      settled++;
      if (current) current.copy(mixed, at, at, end);
      else mixed.fill(0, at, end);
    }
    if (left === 0) {
      if (current) this.#durable.set(index, current);
      else this.#durable.delete(index);
      this.#dirty.delete(index);
    } else if (settled > 0) {
      this.#durable.set(index, mixed);
    }
  }

  /** A chunk that may be written to. */
  #own(index: number): Buffer {
    const chunk = this.#current.get(index);
    if (chunk && chunk !== this.#durable.get(index)) {
      this.#dirty.add(index);
      return chunk;
    }
    const own = chunk ? Buffer.from(chunk) : Buffer.alloc(CHUNK_BYTES);
    this.#current.set(index, own);
    this.#dirty.add(index);
    return own;
  }
}

const ZEROS = Buffer.alloc(SECTOR_BYTES);

function isZero(bytes: Buffer, start: number, end: number): boolean {
  return bytes.compare(ZEROS, 0, end - start, start, end) === 0;
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
