import { LRUCache } from 'lru-cache';
import type { OpenFile } from './open-file.js';

/**
 * Open files by serial, the least recently used closed first. One that is in use or dirty is never closed: when its turn
 * comes it is held apart until it is neither.
 */
export class Descriptors {
  readonly #recent: LRUCache<number, OpenFile>;
  readonly #held = new Map<number, OpenFile>();
  readonly #close: (file: OpenFile) => void;

  /** `close` is called once for each file that leaves. */
  constructor(filesMax: number, close: (file: OpenFile) => void) {
    this.#close = close;
    this.#recent = new LRUCache({
      max: filesMax,
      dispose: (file, serial, reason) => {
        if (reason !== 'evict') return;
        if (file.idle) this.#close(file);
        else this.#held.set(serial, file);
      },
    });
  }

  get size(): number {
    return this.#recent.size + this.#held.size;
  }

  get(serial: number): OpenFile | undefined {
    const file = this.#recent.get(serial);
    if (file !== undefined || this.#held.size === 0) return file;
    return this.#held.get(serial);
  }

  add(file: OpenFile): void {
    this.#recent.set(file.serial, file);
  }

  /** To be called when a file is used no more, or was synced. */
  settle(file: OpenFile): void {
    if (!file.idle) return;
    if (file.forgotten) {
      if (this.#held.delete(file.serial) || this.#recent.delete(file.serial)) this.#close(file);
    } else if (this.#held.size > 0 && this.#held.delete(file.serial)) {
      this.#recent.set(file.serial, file);
    }
  }

  /** The index has the file no more. It is closed at once or when its last use ends. */
  forget(file: OpenFile): void {
    file.forgotten = true;
    file.dirty = false;
    this.settle(file);
  }

  *files(): Generator<OpenFile> {
    yield* this.#recent.values();
    yield* this.#held.values();
  }
}
