import { EXTENT_BYTES_MAX, type Extent } from '../../lib/control/administration.js';

const BLOCK_BYTES = 4096;

/** The content of an image in memory: blocks that were written, the rest being zeros. */
export class MemoryImage {
  private readonly blocks = new Map<number, Buffer>();

  /** Bytes of blocks that were written. */
  get used(): number {
    return this.blocks.size * BLOCK_BYTES;
  }

  write({ offset, data }: Extent): void {
    for (let done = 0; done < data.length; ) {
      const index = Math.floor((offset + done) / BLOCK_BYTES);
      const start = (offset + done) % BLOCK_BYTES;
      const length = Math.min(BLOCK_BYTES - start, data.length - done);
      let block = this.blocks.get(index);
      block ??= Buffer.alloc(BLOCK_BYTES);
      this.blocks.set(index, block);
      block.set(data.subarray(done, done + length), start);
      done += length;
    }
  }

  /** What was written below `size`, in ascending order, as few extents as may be. */
  *extents(size: number): Generator<Extent, void> {
    let run: Buffer[] = [];
    let start = 0;
    const indexes = [...this.blocks.keys()].sort((a, b) => a - b).filter((index) => index * BLOCK_BYTES < size);
    for (const index of indexes) {
      const follows = start + run.length * BLOCK_BYTES === index * BLOCK_BYTES;
      if (run.length > 0 && (!follows || run.length * BLOCK_BYTES >= EXTENT_BYTES_MAX)) {
        yield { offset: start, data: Buffer.concat(run) };
        run = [];
      }
      if (run.length === 0) start = index * BLOCK_BYTES;
      run.push(this.blocks.get(index)!);
    }
    if (run.length > 0) yield { offset: start, data: Buffer.concat(run).subarray(0, size - start) };
  }

  copy(): MemoryImage {
    const copy = new MemoryImage();
    for (const [index, block] of this.blocks) copy.blocks.set(index, Buffer.from(block));
    return copy;
  }
}
