import { type Disk, type LayerView, StoreError } from '../store/index.js';
import type { Place } from '../store/object-create.js';
import { cutObject, discardObject, removeEntry } from '../store/object-discard.js';
import { mergeObject } from '../store/object-merge.js';
import { layerEnd, nextIndex, readObject, seekObject } from '../store/object-read.js';
import { allocateObject, tryWrite, writeObject } from '../store/object-write.js';
import { walk } from '../store/walk.js';
import { IndexLocks } from './index-locks.js';
import { GroupMoves, type MoveOptions } from './move.js';
import { type Chain, OBJECT_BYTES, type ObjectIO, type ObjectRange } from './object-io.js';

/** Where a placement group is on this host. */
export interface GroupPlacement {
  /** Number of the disk that has it. */
  disk: number;
  /** Number of the disk that it is being moved to, or null. */
  target: number | null;
}

export interface LocalObjectsOptions {
  disks: Iterable<Disk>;
  /** Number of placement groups. */
  groupCount: number;
  /** The group of an index: over a family's indexes it repeats with period `groupCount`. */
  groupOf(family: number, index: number): number;
  groups(pg: number): GroupPlacement;
  /** The epoch that an object's first write is recorded with. */
  epoch(): number;
}

/** Indexes that one call works on at the same time. */
const INDEXES_PARALLEL = 32;
/** One above the highest index that there can be. */
const INDEX_END = 2 ** 32;

/**
 * Object I/O over the disks of this host alone. Each index lives, with all its layers, on the disk that its group is
 * placed on; while a group is moved, on one of two, and a write brings it to the new one first.
 *
 * What goes wrong is a StoreError: ENOSPC, EIO, or DISK_FAILED, which is an EIO to the guest.
 */
export class LocalObjects implements ObjectIO {
  readonly #disks = new Map<number, Disk>();
  readonly #locks = new IndexLocks();
  readonly #options: LocalObjectsOptions;
  readonly #moves: GroupMoves;
  /** Work under way that goes over all disks, one that was removed since included. */
  readonly #overAll = new Set<Promise<unknown>>();

  private constructor(options: LocalObjectsOptions) {
    this.#options = options;
    for (const disk of options.disks) this.#disks.set(disk.number, disk);
    this.#moves = new GroupMoves(this.#locks, options, (number) => this.disk(number));
  }

  /** Settles what a move that was cut short has left on two disks, and is ready. */
  static async open(options: LocalObjectsOptions): Promise<LocalObjects> {
    const objects = new LocalObjects(options);
    for (let pg = 0; pg < options.groupCount; pg++) {
      const { disk, target } = options.groups(pg);
      // With a disk missing the group cannot be served, nor moved before it is settled.
      if (target !== null && objects.#disks.has(disk) && objects.#disks.has(target)) await objects.#moves.settle(pg);
    }
    return objects;
  }

  /** Throws DISK_FAILED where this host has no such disk open. */
  disk(number: number): Disk {
    const disk = this.#disks.get(number);
    if (!disk) throw new StoreError('DISK_FAILED', `disk ${number} is not open on this host`);
    return disk;
  }

  get disks(): Disk[] {
    return [...this.#disks.values()];
  }

  /** A disk that was missing when a move to or from it was on is not added like this, but found by `open`. */
  addDisk(disk: Disk): void {
    if (this.#disks.has(disk.number)) throw new Error(`disk ${disk.number} is there already`);
    this.#disks.set(disk.number, disk);
  }

  /** Gives the disk back to the caller, who has moved every group off it and closes it, when nothing uses it. */
  async removeDisk(number: number): Promise<Disk> {
    const disk = this.disk(number);
    this.#disks.delete(number);
    // How each of them ends is for its own caller.
    await Promise.allSettled(this.#overAll);
    return disk;
  }

  /**
   * Moves a group's objects to its target disk, as `groups` has it; to be called again after a restart. When it
   * resolves, all are there, and `groups` may be told that the target is its disk. Throws ENOSPC, EIO, DISK_FAILED, and
   * what `signal` was aborted with; the rest has then not moved and goes on being served.
   */
  moveGroup(pg: number, options: MoveOptions = {}): Promise<void> {
    return this.#moves.run(pg, options);
  }

  read(chain: Chain, index: number, offset: number, target: Buffer): Promise<void> {
    try {
      const pg = this.#options.groupOf(chain.family, index);
      const disk = this.#home(pg, chain.family, index);
      return readObject(disk, pg, chain.family, index, chain.layers, offset, target);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  write(chain: Chain, index: number, offset: number, source: Buffer): Promise<void> {
    if (source.length === 0) return Promise.resolve();
    try {
      const { family, layers } = chain;
      const placement = this.#options.groups(this.#options.groupOf(family, index));
      const disk = this.#disks.get(placement.disk);
      if (placement.target === null && disk && !disk.io.failure) {
        const lock = this.#locks.tryShared(family, index);
        if (lock) {
          const written = tryWrite(disk, family, index, layers[0]!.layer, offset, source, lock);
          if (written) return written;
          lock.release();
        }
      }
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#change(chain, index, (disk, place) =>
      writeObject(disk, place, chain.layers, offset, source, this.#options.epoch()),
    );
  }

  discard(chain: Chain, range: ObjectRange): Promise<void> {
    return this.#change(chain, range.index, (disk, place) =>
      discardObject(disk, place, chain.layers, range.offset, range.length, this.#options.epoch()),
    );
  }

  allocate(chain: Chain, index: number, end: number): Promise<void> {
    return this.#change(chain, index, (disk, place) =>
      allocateObject(disk, place, chain.layers, end, this.#options.epoch()),
    );
  }

  async seek(chain: Chain, index: number, offset: number, data: boolean): Promise<number | null> {
    const pg = this.#options.groupOf(chain.family, index);
    const disk = this.#home(pg, chain.family, index);
    return seekObject(disk, { pg, family: chain.family, index }, chain.layers, offset, data);
  }

  async flush(chain: Chain): Promise<void> {
    await this.#flush(chain.family, chain.layers);
  }

  async truncate(chain: Chain, size: number): Promise<void> {
    const { family } = chain;
    const top = chain.layers[0]!.layer;
    const cut = size % OBJECT_BYTES;
    if (cut > 0) {
      await this.#change(chain, Math.floor(size / OBJECT_BYTES), (disk, place) =>
        cutObject(disk, place, chain.layers, cut, this.#options.epoch()),
      );
    }
    await this.#eachObject(family, top, Math.ceil(size / OBJECT_BYTES), (disk, place) => removeEntry(disk, place, top));
  }

  end(chain: Chain, bound: number): Promise<number> {
    const pgOf = (index: number) => this.#options.groupOf(chain.family, index);
    return this.#stable(async (disks) => {
      const ends = disks.map((disk) => layerEnd(disk, pgOf, chain.family, chain.layers[0]!.layer, { bound }));
      return Math.max(0, ...(await Promise.all(ends)));
    });
  }

  next(chain: Chain, from: number, to: number): Promise<number | null> {
    const layers = new Set(chain.layers.map(({ layer }) => layer));
    return this.#stable(async (disks) => {
      const found = await Promise.all(disks.map((disk) => nextIndex(disk, chain.family, layers, from, to)));
      const lowest = Math.min(...found.map((index) => index ?? Number.POSITIVE_INFINITY));
      return Number.isFinite(lowest) ? lowest : null;
    });
  }

  usage(family: number, layer: number): number {
    let bytes = 0;
    for (const disk of this.#disks.values()) bytes += disk.usage(family, layer);
    return bytes;
  }

  async deleteLayer(family: number, layer: number): Promise<void> {
    await this.#eachObject(family, layer, 0, (disk, place) => removeEntry(disk, place, layer));
    await this.#settleIndexes();
    for (const disk of this.#disks.values()) disk.forgetLayer(family, layer);
  }

  async mergeLayer(family: number, layer: number, child: number, limit: () => number): Promise<void> {
    // Nearly nothing is left unsynced then, and no object has to be flushed alone.
    await this.#flush(family, [
      { layer, limit: 0 },
      { layer: child, limit: 0 },
    ]);
    await this.#eachObject(family, layer, 0, (disk, place) => mergeObject(disk, place, layer, child, limit()));
    await this.#settleIndexes();
    for (const disk of this.#disks.values()) disk.forgetLayer(family, layer);
  }

  /** To be awaited before the caller forgets a layer: no power cut may bring back what refers to it. */
  async #settleIndexes(): Promise<void> {
    await this.#withAll((disks) => Promise.all(disks.map((disk) => disk.index.durable())));
  }

  async #flush(family: number, layers: readonly LayerView[]): Promise<void> {
    await this.#withAll((disks) => Promise.all(disks.map((disk) => disk.flush(family, layers))));
  }

  /** The disk that an index is on: its group's, or while that is moved, the target unless the source has it. */
  #home(pg: number, family: number, index: number): Disk {
    const { disk, target } = this.#options.groups(pg);
    return target === null ? this.disk(disk) : this.#moves.home(disk, target, family, index);
  }

  /** Calls `use` with the index held alone, on the disk where it is to be. */
  async #change(chain: Chain, index: number, use: (disk: Disk, place: Place) => Promise<void>): Promise<void> {
    const { family } = chain;
    const lock = await this.#locks.exclusive(family, index);
    try {
      const place = { pg: this.#options.groupOf(family, index), family, index };
      const { disk, target } = this.#options.groups(place.pg);
      if (target !== null) await this.#moves.bring(place);
      await use(this.disk(target ?? disk), place);
    } finally {
      lock.release();
    }
  }

  /** Calls `use` for every entry that a layer has at index `from` or above, with the index held alone. */
  async #eachObject(
    family: number,
    layer: number,
    from: number,
    use: (disk: Disk, place: Place) => Promise<unknown>,
  ): Promise<void> {
    await this.#stable(async (disks) => {
      for (const disk of disks) {
        for await (const batch of walk(disk, family, from, INDEX_END)) {
          const indexes = batch.filter((object) => object.layer === layer).map(({ index }) => index);
          await this.#parallel(indexes, (index) => this.#useEntry({ family, layer, index }, use));
        }
      }
    });
  }

  /** A move may have taken the entry to another disk since it was seen. */
  async #useEntry(
    entry: { family: number; layer: number; index: number },
    use: (disk: Disk, place: Place) => Promise<unknown>,
  ): Promise<void> {
    const { family, layer, index } = entry;
    const lock = await this.#locks.exclusive(family, index);
    try {
      const place = { pg: this.#options.groupOf(family, index), family, index };
      for (const disk of this.#disks.values()) {
        if (disk.index.find(family, index, layer) !== 0) await use(disk, place);
      }
    } finally {
      lock.release();
    }
  }

  /** Runs a look at all disks again where an index was moved from one to another meanwhile. */
  async #stable<T>(look: (disks: Disk[]) => Promise<T>): Promise<T> {
    for (;;) {
      const before = this.#moves.transfers;
      const result = await this.#withAll(look);
      if (this.#moves.transfers === before) return result;
    }
  }

  /** Runs work over all disks, none of which is closed before it has ended. */
  async #withAll<T>(work: (disks: Disk[]) => Promise<T>): Promise<T> {
    const running = work(this.disks);
    this.#overAll.add(running);
    try {
      return await running;
    } finally {
      this.#overAll.delete(running);
    }
  }

  async #parallel(indexes: number[], use: (index: number) => Promise<void>): Promise<void> {
    let next = 0;
    const work = async () => {
      while (next < indexes.length) await use(indexes[next++]!);
    };
    await Promise.all(Array.from({ length: Math.min(INDEXES_PARALLEL, indexes.length) }, work));
  }
}
