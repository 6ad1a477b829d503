import { SERIAL_BLOCK } from './constants.js';
import type { ObjectIndex } from './object-index.js';

/**
 * Numbers for files, never given twice on a disk: they are reserved in blocks, durably before the first of a block is
 * given. What an earlier process left of its block is skipped.
 */
export class Serials {
  readonly #index: ObjectIndex;
  #next: number;
  /** The first that is not reserved. */
  #end: number;
  #reserving: Promise<void> | null = null;
  /** The first that this process may give: files with a lower one are of an earlier process. */
  readonly start: number;

  constructor(index: ObjectIndex) {
    this.#index = index;
    this.start = index.serial;
    this.#next = this.start;
    this.#end = this.start;
  }

  async next(): Promise<number> {
    while (this.#next === this.#end) await this.reserve();
    const serial = this.#next++;
    if (this.#end - this.#next < SERIAL_BLOCK / 2 && !this.#reserving) {
      // Ahead of need. Its error comes to whoever needs the block, and the disk has failed by then.
      this.reserve().catch(() => {});
    }
    return serial;
  }

  reserve(): Promise<void> {
    this.#reserving ??= this.#reserve().finally(() => {
      this.#reserving = null;
    });
    return this.#reserving;
  }

  async #reserve(): Promise<void> {
    const end = this.#end + SERIAL_BLOCK;
    await this.#index.commit(() => this.#index.setSerial(end));
    await this.#index.durable();
    this.#end = end;
  }
}
