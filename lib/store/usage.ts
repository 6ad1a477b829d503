import type { BinaryTable } from '../database/environment.js';
import { BLOCK_BYTES } from './constants.js';
import { decodeLayerKey, decodeUsage, encodeBlocks, encodeLayerKey, encodeNumber, encodeUsage } from './entry.js';
import { PairTable } from './pair-table.js';

/** What a layer has on the disk: how many objects, and how many blocks all their files have. */
interface LayerUsage {
  readonly family: number;
  readonly layer: number;
  objects: number;
  blocks: number;
}

/** In a commit that has not ended, so that the table does not show it yet. */
interface Queued {
  /** 0 where the file was given up. */
  blocks: number;
  commit: number;
}

/**
 * How much space the files of a disk have: a figure for each file, and the sums of each layer, which are kept beside
 * them in the same commits.
 *
 * A figure that is measured anew counts at once; it is stored with the next commit that is made anyway, and
 * nobody waits for it. What a kill takes back is measured again when the file is synced.
 */
export class Usage {
  readonly #layers: BinaryTable;
  readonly #files: BinaryTable;
  readonly #sums = new PairTable<LayerUsage>();
  /** Sums that the commit that is being put together has to store. */
  readonly #changed = new Set<LayerUsage>();
  /** Figures that no commit has taken yet, by serial. */
  readonly #noted = new Map<number, number>();
  /** By serial, in the order of their commits. */
  readonly #queued = new Map<number, Queued>();
  #commit = 0;

  /** `layers` holds the sums, `files` the figures. */
  constructor(layers: BinaryTable, files: BinaryTable) {
    this.#layers = layers;
    this.#files = files;
    for (const { key, value } of layers.getRange()) {
      const { family, layer } = decodeLayerKey(key);
      this.#sums.set(family, layer, { family, layer, ...decodeUsage(value) });
    }
  }

  /** Objects, holes not counted, of all layers on this disk. */
  get objects(): number {
    let objects = 0;
    for (const sum of this.#sums.values()) objects += sum.objects;
    return objects;
  }

  /** Objects, holes not counted, of a layer on this disk. */
  objectsOf(family: number, layer: number): number {
    return this.#sums.get(family, layer)?.objects ?? 0;
  }

  /** Bytes that a layer's files have on this disk, as last measured. Never 0 for a layer with objects. */
  bytesOf(family: number, layer: number): number {
    return (this.#sums.get(family, layer)?.blocks ?? 0) * BLOCK_BYTES;
  }

  /** Figures that wait for a commit. */
  get pending(): number {
    return this.#noted.size;
  }

  /** The figure of a file, in blocks; 0 for one that the index does not have. */
  blocksOf(serial: number): number {
    const known = this.#noted.get(serial) ?? this.#queued.get(serial)?.blocks;
    if (known !== undefined) return known;
    const bytes = this.#files.getBinaryFast(encodeNumber(serial));
    return bytes === undefined ? 0 : bytes.readUInt16BE(0);
  }

  /** A file of the layer was measured. Answers whether that says anything new. */
  note(family: number, layer: number, serial: number, blocks: number): boolean {
    const before = this.blocksOf(serial);
    const after = clamp(blocks);
    // Given up while it was measured; or as it was, which is nearly always so.
    if (before === 0 || before === after) return false;
    this.#noted.set(serial, after);
    this.#sum(family, layer).blocks += after - before;
    return true;
  }

  /** At the start of a commit: stores what was noted. */
  begin(): void {
    this.#commit++;
    for (const [serial, blocks] of this.#noted) this.#put(serial, blocks);
    this.#noted.clear();
  }

  /** At the end of a commit: stores the sums. Answers the number to call `committed` with. */
  end(): number {
    for (const sum of this.#changed) {
      const key = encodeLayerKey(sum.family, sum.layer);
      if (sum.objects > 0) {
        void this.#layers.put(key, encodeUsage(sum));
      } else {
        void this.#layers.remove(key);
        this.#sums.delete(sum.family, sum.layer);
      }
    }
    this.#changed.clear();
    return this.#commit;
  }

  /** The commit has ended: the table shows it. */
  committed(commit: number): void {
    for (const [serial, queued] of this.#queued) {
      if (queued.commit > commit) return;
      this.#queued.delete(serial);
    }
  }

  /** Within a commit: the layer has one more object. */
  add(family: number, layer: number, serial: number, blocks: number): void {
    const sum = this.#sum(family, layer);
    const figure = clamp(blocks);
    sum.objects++;
    sum.blocks += figure;
    this.#put(serial, figure);
  }

  /** Within a commit: the layer has the object no more. */
  remove(family: number, layer: number, serial: number): void {
    const sum = this.#sum(family, layer);
    const blocks = this.blocksOf(serial);
    sum.objects--;
    sum.blocks -= blocks;
    if (sum.objects < 0 || sum.blocks < sum.objects) {
      throw new Error(`layer ${family}/${layer} would hold ${sum.objects} objects in ${sum.blocks} blocks`);
    }
    this.#put(serial, 0);
  }

  #put(serial: number, blocks: number): void {
    // Deleted first, to stand behind those of earlier commits.
    this.#queued.delete(serial);
    this.#queued.set(serial, { blocks, commit: this.#commit });
    if (blocks > 0) void this.#files.put(encodeNumber(serial), encodeBlocks(blocks));
    else void this.#files.remove(encodeNumber(serial));
  }

  #sum(family: number, layer: number): LayerUsage {
    let sum = this.#sums.get(family, layer);
    if (!sum) {
      sum = { family, layer, objects: 0, blocks: 0 };
      this.#sums.set(family, layer, sum);
    }
    this.#changed.add(sum);
    return sum;
  }
}

/** At least one: a file may have its few bytes in its inode, and an image without blocks is taken for one hole. */
function clamp(blocks: number): number {
  return Math.min(Math.max(blocks, 1), 0xffff);
}
