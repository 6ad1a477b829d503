import { DIRTY_FILES_BATCH, DIRTY_FILES_LIMIT, DIRTY_FILES_MAX, FIGURES_PENDING_MAX } from './constants.js';
import type { Descriptors } from './descriptors.js';
import type { FileIo } from './file-io.js';
import type { LayerState } from './layer-state.js';
import { measure } from './measure.js';
import type { ObjectIndex } from './object-index.js';
import type { OpenFile } from './open-file.js';

/** Files that one flush syncs at a time, so that reads find room beside it. */
const SYNCS_PARALLEL = 16;

/**
 * Knows which files hold writes that are not on disk, and brings them there: file, then directory, then the index. In
 * the background it syncs the oldest when there are too many.
 */
export class Flusher {
  readonly #io: FileIo;
  readonly #index: ObjectIndex;
  readonly #descriptors: Descriptors;
  readonly #directoryOf: (pg: number) => string;
  /** Every dirty file, the oldest first. */
  readonly #dirty = new Set<OpenFile>();
  #background = false;
  #waiting: (() => void)[] = [];

  constructor(io: FileIo, index: ObjectIndex, descriptors: Descriptors, directoryOf: (pg: number) => string) {
    this.#io = io;
    this.#index = index;
    this.#descriptors = descriptors;
    this.#directoryOf = directoryOf;
  }

  get dirtyFiles(): number {
    return this.#dirty.size;
  }

  /** To be called when a write to the file has ended, before it is answered. */
  mark(file: OpenFile): void {
    file.measured = false;
    if (file.dirty || file.forgotten) return;
    file.dirty = true;
    file.layer.dirty.add(file);
    this.#dirty.add(file);
    if (this.#dirty.size > DIRTY_FILES_MAX && !this.#background) void this.#drain();
  }

  /** The object is gone, and nothing of the file needs to reach the disk. */
  forget(file: OpenFile): void {
    this.#clean(file);
    // A commit that fails takes the disk out, which says so itself.
    file.pulled?.settle(file)?.catch(() => {});
    this.#descriptors.forget(file);
    this.#wake();
  }

  /** Asks what space those files of the layer have that were written to since they were last asked. */
  measure(layer: LayerState): void {
    for (const file of layer.dirty) if (!file.measured) this.measureFile(file);
  }

  /** Asks what space the file has, of the index or about to be. What is new is stored in time, and not waited for. */
  measureFile(file: OpenFile): void {
    if (file.forgotten) return;
    const blocks = measure(this.#io.files, file.fd);
    if (blocks === null) return;
    file.measured = true;
    const { usage } = this.#index;
    if (!usage.note(file.layer.family, file.layer.layer, file.serial, blocks)) return;
    // A commit that fails takes the disk out, which says so itself.
    if (usage.pending >= FIGURES_PENDING_MAX) this.#index.storeFigures().catch(() => {});
  }

  /** A merge gave the file's object to another layer. */
  move(file: OpenFile, layer: LayerState): void {
    if (file.layer.dirty.delete(file)) layer.dirty.add(file);
    file.layer = layer;
  }

  /** Whether a write that makes another file dirty has to wait in `room` first. */
  get full(): boolean {
    return this.#dirty.size >= DIRTY_FILES_LIMIT;
  }

  async room(): Promise<void> {
    while (this.full && !this.#io.failure) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }

  /**
   * Resolves when all that was answered before the call is durable: the layers' files, their names and the index.
   * Rejects with DISK_FAILED.
   */
  async flush(layers: readonly LayerState[]): Promise<void> {
    const numbers = layers.map((layer) => ++layer.flushesBegun);
    const files: OpenFile[] = [];
    const syncs: Promise<void>[] = [];
    for (const layer of layers) {
      files.push(...layer.dirty);
      syncs.push(...layer.syncs);
    }
    if (files.length > 0) syncs.push(this.#sync(files));
    if (syncs.length > 0) await Promise.all(syncs);
    await this.#index.durable();
    layers.forEach((layer, i) => {
      layer.flushCompleted = Math.max(layer.flushCompleted, numbers[i]!);
    });
  }

  /** Syncs dirty files, and lets every flush of their layers that begins meanwhile wait for it. */
  #sync(files: OpenFile[]): Promise<void> {
    const layers = new Set<LayerState>();
    for (const file of files) {
      this.#clean(file);
      file.users++;
      layers.add(file.layer);
    }
    const sync = this.#syncAll(files);
    for (const layer of layers) layer.syncs.add(sync);
    const settle = () => {
      for (const layer of layers) layer.syncs.delete(sync);
      for (const file of files) {
        file.users--;
        this.#descriptors.settle(file);
      }
      this.#wake();
    };
    sync.then(settle, settle);
    return sync;
  }

  async #syncAll(files: OpenFile[]): Promise<void> {
    let next = 0;
    const work = async () => {
      while (next < files.length) {
        const file = files[next++]!;
        await this.#io.syncData(file.fd);
        this.measureFile(file);
      }
    };
    await Promise.all(Array.from({ length: Math.min(SYNCS_PARALLEL, files.length) }, work));

    const fresh = files.filter((file) => file.fresh);
    const directories = new Set(fresh.map((file) => this.#directoryOf(file.pg)));
    await Promise.all(Array.from(directories, (directory) => this.#io.syncDirectory(directory)));
    for (const file of fresh) file.fresh = false;

    // One that was forgotten took its mark with it, and the mark found there now would be its successor's.
    const marked = files.filter((file) => file.unsynced && !file.forgotten);
    if (marked.length > 0) {
      await this.#index.commit(() => {
        for (const file of marked) {
          file.unsynced = false;
          this.#index.unmarkUnsynced(file.layer.family, file.index, file.layer.layer);
        }
      });
    }
    // What it replaced is kept until here.
    await Promise.all(files.map((file) => file.pulled?.settle(file)));
  }

  async #drain(): Promise<void> {
    this.#background = true;
    try {
      while (this.#dirty.size > DIRTY_FILES_MAX) {
        const oldest: OpenFile[] = [];
        for (const file of this.#dirty) {
          oldest.push(file);
          if (oldest.length === DIRTY_FILES_BATCH) break;
        }
        await this.#sync(oldest);
      }
    } catch {
      // The disk has failed and said so; whoever waits for room is let go to find out.
    } finally {
      this.#background = false;
      this.#wake();
    }
  }

  #clean(file: OpenFile): void {
    file.dirty = false;
    file.layer.dirty.delete(file);
    this.#dirty.delete(file);
  }

  #wake(): void {
    if (this.#waiting.length === 0 || (this.full && !this.#io.failure)) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}
