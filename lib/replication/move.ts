import type { Disk } from '../store/index.js';
import type { Place } from '../store/object-create.js';
import { removeIndex, transferIndex } from '../store/object-transfer.js';
import { pause } from '../store/time.js';
import type { IndexLocks } from './index-locks.js';
import type { GroupPlacement } from './local-objects.js';

export interface MoveOptions {
  signal?: AbortSignal;
  /** Called after each index with what was moved so far. */
  onProgress?: (progress: { indexes: number; bytes: number }) => void;
  /** Bytes a second, at most; 64 MiB unless set. */
  rate?: number;
}

interface Placement {
  groupCount: number;
  groupOf(family: number, index: number): number;
  groups(pg: number): GroupPlacement;
}

const RATE = 64 * 1024 * 1024;

/** Moving groups from one disk of this host to another, index by index, while guests go on. */
export class GroupMoves {
  readonly #locks: IndexLocks;
  readonly #placement: Placement;
  readonly #disk: (number: number) => Disk;
  /** Indexes moved so far, by whatever. */
  transfers = 0;

  constructor(locks: IndexLocks, placement: Placement, disk: (number: number) => Disk) {
    this.#locks = locks;
    this.#placement = placement;
    this.#disk = disk;
  }

  /** The disk that an index of a moving group is on; the target for one that is nowhere. */
  home(source: number, target: number, family: number, index: number): Disk {
    const there = this.#disk(target);
    if (there.index.has(family, index)) return there;
    const here = this.#disk(source);
    return here.index.has(family, index) ? here : there;
  }

  /** Brings an index of a moving group to the target. The caller holds the index alone. Answers the bytes copied. */
  async bring(place: Place): Promise<number> {
    const { disk, target } = this.#placement.groups(place.pg);
    if (target === null) return 0;
    const [source, destination] = [this.#disk(disk), this.#disk(target)];
    if (!source.index.has(place.family, place.index)) return 0;
    this.transfers++;
    try {
      if (destination.index.has(place.family, place.index)) {
        // The copy was complete before a crash came between it and this.
        await removeIndex(source, place);
        return 0;
      }
      return await transferIndex(source, destination, place);
    } finally {
      this.transfers++;
    }
  }

  /** Deletes at the source what the target has. To be done after a crash, before the group is served. */
  async settle(pg: number): Promise<void> {
    const { disk, target } = this.#placement.groups(pg);
    if (target === null) return;
    const [source, destination] = [this.#disk(disk), this.#disk(target)];
    for await (const { family, index } of this.#indexes(source, pg)) {
      if (!destination.index.has(family, index)) continue;
      const lock = await this.#locks.exclusive(family, index);
      try {
        if (destination.index.has(family, index)) await removeIndex(source, { pg, family, index });
      } finally {
        lock.release();
      }
    }
  }

  async run(pg: number, options: MoveOptions): Promise<void> {
    const { disk, target } = this.#placement.groups(pg);
    if (target === null) throw new Error(`group ${pg} has no target`);
    if (disk === target) throw new Error(`group ${pg} is on disk ${disk} already`);
    await this.settle(pg);
    const rate = options.rate ?? RATE;
    const progress = { indexes: 0, bytes: 0 };
    const { time } = this.#disk(disk).system;
    const start = time.elapsedMs();
    for await (const { family, index } of this.#indexes(this.#disk(disk), pg)) {
      options.signal?.throwIfAborted();
      const lock = await this.#locks.exclusive(family, index);
      try {
        progress.bytes += await this.bring({ pg, family, index });
      } finally {
        lock.release();
      }
      progress.indexes++;
      options.onProgress?.({ ...progress });
      const ahead = (progress.bytes / rate) * 1000 - (time.elapsedMs() - start);
      if (ahead > 0) await pause(time, ahead, options.signal);
    }
    // An entry that a power cut brought back here would win over the newer one, were the group moved back.
    await this.#disk(disk).index.durable();
  }

  /** The indexes of a group that a disk has, in order, looked up one at a time. */
  async *#indexes(disk: Disk, pg: number): AsyncGenerator<{ family: number; index: number }> {
    const { groupCount } = this.#placement;
    for (let family = disk.index.nextFamily(0); family !== null; family = disk.index.nextFamily(family + 1)) {
      const first = this.#firstIndex(family, pg);
      if (first === null) continue;
      let index = disk.index.nextIndex(family, first);
      while (index !== null) {
        const ahead = (index - first) % groupCount;
        if (ahead === 0) {
          yield { family, index };
          index += groupCount;
        } else {
          index += groupCount - ahead;
        }
        index = disk.index.nextIndex(family, index);
      }
      await pause(disk.system.time, 0);
    }
  }

  #firstIndex(family: number, pg: number): number | null {
    for (let index = 0; index < this.#placement.groupCount; index++) {
      if (this.#placement.groupOf(family, index) === pg) return index;
    }
    return null;
  }
}
