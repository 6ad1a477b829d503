import type { Disk } from '../store/index.js';
import type { Place } from '../store/object-create.js';
import { removeEntry } from '../store/object-discard.js';
import { mergeObject } from '../store/object-merge.js';
import { walk } from '../store/walk.js';
import type { IndexLocks } from './index-locks.js';
import type { MergingLayer } from './layer-rules.js';
import type { LayerDisk } from './object-io.js';

/** One above the highest index that there can be. */
const INDEX_END = 2 ** 32;
/** Indexes that one call works on at the same time. */
const INDEXES_PARALLEL = 32;

/** The disk, and who else works on it. */
export interface LayerWorkContext {
  readonly disk: Disk;
  readonly locks: IndexLocks;
  readonly recovery: { attemptsEnd(): Promise<void> };
}

/** What one disk of this host does to layers that are on their way out. */
export class LayerWork implements LayerDisk {
  readonly number: number;
  readonly #context: LayerWorkContext;
  readonly #pgOf: (family: number, index: number) => number;
  readonly #running = new Set<Promise<void>>();
  /** What is under way on a disk that has failed may never end. */
  readonly #abandon = new Set<(reason: unknown) => void>();
  #closed = false;

  constructor(context: LayerWorkContext, pgOf: (family: number, index: number) => number) {
    this.number = context.disk.number;
    this.#context = context;
    this.#pgOf = pgOf;
    const { disk } = context;
    disk.once('failed', () => {
      for (const abandon of this.#abandon) abandon(disk.io.failure);
    });
  }

  deleteLayer(family: number, layer: number): Promise<void> {
    return this.#run(() => this.#delete(family, layer));
  }

  mergeLayer(family: number, layer: number, child: number, limit: number): Promise<void> {
    return this.#run(() => this.#merge(family, layer, child, limit));
  }

  /** The disk is taken away: from now on it has nothing of any layer. */
  close(): void {
    this.#closed = true;
  }

  /** Resolves when nothing is under way. */
  async ended(): Promise<void> {
    // How it ends is for its own caller.
    await Promise.allSettled(this.#running);
  }

  async #run(work: () => Promise<void>): Promise<void> {
    if (this.#closed) return;
    const { failure } = this.#context.disk.io;
    if (failure) throw failure;
    let abandon: (reason: unknown) => void = () => {};
    const running = new Promise<void>((resolve, reject) => {
      abandon = reject;
      work().then(resolve, reject);
    });
    this.#running.add(running);
    this.#abandon.add(abandon);
    try {
      await running;
    } finally {
      this.#running.delete(running);
      this.#abandon.delete(abandon);
    }
  }

  async #delete(family: number, layer: number): Promise<void> {
    await this.#eachEntry(family, layer, (disk, place) => removeEntry(disk, place, layer));
    await this.#settle(family, layer);
  }

  async #merge(family: number, layer: number, child: number, limit: number): Promise<void> {
    // Nearly nothing is left unsynced then, and no object has to be flushed alone.
    await this.#context.disk.flush(family, [
      { layer, limit: 0 },
      { layer: child, limit: 0 },
    ]);
    await this.#eachEntry(family, layer, (disk, place) => mergeObject(disk, place, layer, child, limit));
    await this.#settle(family, layer);
  }

  /** No power cut may bring the layer back, nor what a pull has replaced. */
  async #settle(family: number, layer: number): Promise<void> {
    const { disk } = this.#context;
    await disk.flushAll();
    await disk.index.durable();
    // What was discarded of it at this copy has left no entry.
    const active = [...(disk.layers.get(family, layer)?.active.keys() ?? [])];
    if (active.length > 0) {
      await disk.index.commit(() => {
        const state = disk.layer(family, layer);
        for (const index of active) {
          disk.index.removeActive(family, index, layer);
          disk.activity.forget(state, index);
        }
      });
    }
    disk.forgetLayer(family, layer);
  }

  /** Calls `use` for every entry of the layer, with the index held alone. */
  async #eachEntry(family: number, layer: number, use: (disk: Disk, place: Place) => Promise<unknown>): Promise<void> {
    const { disk, locks, recovery } = this.#context;
    // A pull that had its description before the layer was given up may bring it back, behind what is looked through; so
    // may what makes a copy equal, and was begun before.
    await recovery.attemptsEnd();
    await locks.released(family);
    for await (const batch of walk(disk, family, 0, INDEX_END)) {
      const left = batch.filter((entry) => entry.layer === layer).values();
      const work = async () => {
        for (const { index } of left) await this.#alone(family, index, (place) => use(disk, place));
      };
      await Promise.all(Array.from({ length: INDEXES_PARALLEL }, work));
    }
  }

  async #alone(family: number, index: number, use: (place: Place) => Promise<unknown>): Promise<void> {
    const lock = await this.#context.locks.exclusive(family, index);
    try {
      await use({ pg: this.#pgOf(family, index), family, index });
    } finally {
      lock.release();
    }
  }
}

/** Does at one index what is to be done everywhere. The caller holds it alone. */
export async function mergeAt(disk: Disk, place: Place, merging: readonly MergingLayer[]): Promise<void> {
  for (const { layer, child, limit } of merging) await mergeObject(disk, place, layer, child, limit);
}
