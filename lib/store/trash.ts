import { TRASH_FILES_MAX } from './constants.js';
import type { FileIo } from './file-io.js';
import type { ObjectIndex } from './object-index.js';

const UNLINKS_PARALLEL = 8;

/**
 * Unlinks files that the index has given up, in the background, once the commit that gave them up is durable: after a
 * power cut the index may go back to the commit before, and must find them.
 */
export class Trash {
  readonly #io: FileIo;
  readonly #index: ObjectIndex;
  #paths: string[] = [];
  #emptying: Promise<void> = Promise.resolve();
  #running = false;

  constructor(io: FileIo, index: ObjectIndex) {
    this.#io = io;
    this.#index = index;
  }

  /** To be called when the commit has resolved. */
  add(path: string): void {
    this.#paths.push(path);
    if (!this.#running) this.#emptying = this.#empty();
  }

  /** Resolves when there is room for more. To be awaited before a deletion. */
  async room(): Promise<void> {
    while (this.#paths.length >= TRASH_FILES_MAX && this.#running) await this.#emptying;
  }

  async drain(): Promise<void> {
    while (this.#running) await this.#emptying;
  }

  async #empty(): Promise<void> {
    this.#running = true;
    try {
      while (this.#paths.length > 0) {
        const paths = this.#paths;
        this.#paths = [];
        await this.#index.durable();
        let next = 0;
        const work = async () => {
          while (next < paths.length) await this.#io.unlink(paths[next++]!);
        };
        await Promise.all(Array.from({ length: UNLINKS_PARALLEL }, work));
      }
    } catch {
      // What could not be unlinked is swept when the disk is opened after its failure.
      this.#paths = [];
    } finally {
      this.#running = false;
    }
  }
}
