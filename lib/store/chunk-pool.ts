import { CHUNK_BYTES, CHUNKS_MAX } from './constants.js';

/** Buffers of CHUNK_BYTES for copying, at most CHUNKS_MAX in use at once. */
export class ChunkPool {
  readonly #free: Buffer[] = [];
  readonly #waiting: ((chunk: Buffer) => void)[] = [];
  #made = 0;

  /** Lends `use` a chunk, when there is one. */
  async with<T>(use: (chunk: Buffer) => Promise<T>): Promise<T> {
    const chunk = await this.#take();
    try {
      return await use(chunk);
    } finally {
      const next = this.#waiting.shift();
      if (next) next(chunk);
      else this.#free.push(chunk);
    }
  }

  async #take(): Promise<Buffer> {
    const chunk = this.#free.pop();
    if (chunk) return chunk;
    if (this.#made < CHUNKS_MAX) {
      this.#made++;
      return Buffer.allocUnsafeSlow(CHUNK_BYTES);
    }
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }
}
