import { IndexLocks } from '../../lib/replication/index-locks.js';
import { LayerWork } from '../../lib/replication/layer-work.js';
import { type Chain, OBJECT_BYTES } from '../../lib/replication/object-io.js';
import type { Disk } from '../../lib/store/index.js';
import type { Place } from '../../lib/store/object-create.js';
import { cutObject, discardEntry, discardObject } from '../../lib/store/object-discard.js';
import { layerEnd, nextIndexes, readObject, seekObject } from '../../lib/store/object-read.js';
import { allocateObject, tryWrite, writeObject } from '../../lib/store/object-write.js';
import { walk } from '../../lib/store/walk.js';
import { groupOf } from './disks.js';
import type { ObjectIO, ObjectRange } from './local-images.js';

/** One above the highest index that there can be. */
const INDEX_END = 2 ** 32;

/**
 * What `lib/store` does to the objects of images, in the order that a member of a cluster has it done: whatever changes
 * which file is where has the index alone. Groups go round the disks.
 */
export class DiskObjects implements ObjectIO {
  readonly #disks: readonly Disk[];
  readonly #epoch: () => number;
  readonly #locks = new IndexLocks();
  readonly #layers: readonly LayerWork[];

  /** @param epoch what an object's first write is recorded with */
  constructor(disks: readonly Disk[], epoch = () => 1) {
    this.#disks = disks;
    this.#epoch = epoch;
    const context = { locks: this.#locks, recovery: { attemptsEnd: () => Promise.resolve() } };
    this.#layers = disks.map((disk) => new LayerWork({ ...context, disk }, groupOf));
  }

  /** The disk that an index is on. */
  diskOf(family: number, index: number): Disk {
    return this.#disks[groupOf(family, index) % this.#disks.length]!;
  }

  read({ family, layers }: Chain, index: number, offset: number, target: Buffer): Promise<void> {
    return readObject(this.diskOf(family, index), groupOf(family, index), family, index, layers, offset, target);
  }

  write({ family, layers }: Chain, index: number, offset: number, source: Buffer): Promise<void> {
    if (source.length === 0) return Promise.resolve();
    const lock = this.#locks.tryShared(family, index);
    if (lock) {
      const { layer } = layers[0]!;
      const written = tryWrite(this.diskOf(family, index), family, index, layer, offset, source, lock);
      if (written) return written;
      lock.release();
    }
    return this.#alone(family, index, (disk, place) => writeObject(disk, place, layers, offset, source, this.#epoch()));
  }

  discard({ family, layers }: Chain, { index, offset, length }: ObjectRange): Promise<void> {
    return this.#alone(family, index, (disk, place) =>
      discardObject(disk, place, layers, offset, length, this.#epoch()),
    );
  }

  allocate({ family, layers }: Chain, index: number, end: number): Promise<void> {
    return this.#alone(family, index, (disk, place) => allocateObject(disk, place, layers, end, this.#epoch()));
  }

  seek({ family, layers }: Chain, index: number, offset: number, data: boolean): Promise<number | null> {
    const place = { pg: groupOf(family, index), family, index };
    return seekObject(this.diskOf(family, index), place, layers, offset, data);
  }

  async flush({ family, layers }: Chain): Promise<void> {
    await this.#each((disk) => disk.flush(family, layers));
  }

  async truncate({ family, layers }: Chain, size: number): Promise<void> {
    const { layer } = layers[0]!;
    const cut = size % OBJECT_BYTES;
    if (cut > 0) {
      const last = Math.floor(size / OBJECT_BYTES);
      await this.#alone(family, last, (disk, place) => cutObject(disk, place, layers, cut, this.#epoch()));
    }
    await this.#each(async (disk) => {
      for await (const batch of walk(disk, family, Math.ceil(size / OBJECT_BYTES), INDEX_END)) {
        const indexes = batch.filter((object) => object.layer === layer).map(({ index }) => index);
        await Promise.all(
          indexes.map((index) =>
            this.#alone(family, index, (home, place) => discardEntry(home, place, layer, this.#epoch())),
          ),
        );
      }
    });
  }

  async end({ family, layers }: Chain, bound: number): Promise<number> {
    const pgOf = (index: number) => groupOf(family, index);
    return Math.max(0, ...(await this.#each((disk) => layerEnd(disk, pgOf, family, layers[0]!.layer, { bound }))));
  }

  async next({ family, layers }: Chain, from: number, to: number): Promise<number | null> {
    const wanted = new Set(layers.map(({ layer }) => layer));
    const found = await this.#each((disk) => nextIndexes(disk, family, wanted, { from, to, count: 1 }));
    const lowest = Math.min(...found.flat());
    return Number.isFinite(lowest) ? lowest : null;
  }

  usage(family: number, layer: number): number {
    return this.#disks.reduce((bytes, disk) => bytes + disk.usage(family, layer), 0);
  }

  async deleteLayer(family: number, layer: number): Promise<void> {
    await Promise.all(this.#layers.map((work) => work.deleteLayer(family, layer)));
  }

  async mergeLayer(family: number, layer: number, child: number, limit: number): Promise<void> {
    await Promise.all(this.#layers.map((work) => work.mergeLayer(family, layer, child, limit)));
  }

  /** Calls `use` with the index held alone. */
  async #alone(family: number, index: number, use: (disk: Disk, place: Place) => Promise<void>): Promise<void> {
    const lock = await this.#locks.exclusive(family, index);
    try {
      await use(this.diskOf(family, index), { pg: groupOf(family, index), family, index });
    } finally {
      lock.release();
    }
  }

  #each<T>(use: (disk: Disk) => Promise<T>): Promise<T[]> {
    return Promise.all(this.#disks.map(use));
  }
}
