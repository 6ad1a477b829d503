import type { Disk } from './disk.js';
import type { EntryKind } from './entry.js';
import type { GroupName } from './group-records.js';
import type { Place } from './object-create.js';
import type { WriteOrder } from './write-order.js';

/** What is compared, and fetched where it differs. */
export const PULL_BLOCK_BYTES = 64 * 1024;
/** Of a block's hash. All zeros: the block is nothing but zeros; all ones: the hash is not known. */
export const PULL_HASH_BYTES = 16;
/** Bytes asked for at once. */
export const PULL_FETCH_BYTES = 1024 * 1024;

/** One layer of an index as its source has it. */
export interface DescribedLayer {
  readonly layer: number;
  readonly kind: EntryKind;
  readonly modified: number;
  /** See Entry.end. */
  readonly end: number;
  /** The last write, where the object is active at the source, or null. */
  readonly active: WriteOrder | null;
  /** Number of the source's file, to be told when blocks are asked for; 0 for a hole. */
  readonly serial: number;
  /** Bytes of the file. */
  readonly length: number;
  /** The file has all the blocks of an object, and the copy is to have them too. */
  readonly whole: boolean;
  /** A hash of PULL_HASH_BYTES for each PULL_BLOCK_BYTES of `length`, the last of which may be short. */
  readonly hashes: Buffer;
}

export interface IndexDescription {
  readonly family: number;
  readonly index: number;
  /** In the order of layer numbers. */
  readonly layers: readonly DescribedLayer[];
}

export interface BlockRange {
  readonly layer: number;
  readonly serial: number;
  /** A multiple of PULL_BLOCK_BYTES. */
  readonly offset: number;
  /** At most PULL_FETCH_BYTES. */
  readonly length: number;
}

export interface PullOptions {
  /**
   * Asks the source for the bytes of a range: exactly `length`. Rejects with what the caller wants to see; the pull ends
   * with that, and nothing has changed.
   */
  fetch(range: BlockRange): Promise<Buffer>;
  /** The group, off whose to-do list the index is taken in the commit that installs it. */
  group: GroupName;
}

export interface PullResult {
  /** Bytes that were fetched. */
  fetched: number;
  /** Bytes that were taken from this disk's own copies. */
  copied: number;
  /** Objects that were made anew. */
  installed: number;
}

/** Source: describes all layers of an index. The caller keeps the index from having its files switched. */
export type DescribeIndex = (disk: Disk, place: Place) => Promise<IndexDescription>;
/** Source: the bytes of a described object. Null where the layer has another file by now: describe the index again. */
export type ReadBlocks = (disk: Disk, place: Place, range: BlockRange) => Promise<Buffer | null>;
/** Puller: makes the index equal to what is described. The caller holds the index alone. */
export type PullIndex = (
  disk: Disk,
  place: Place,
  description: IndexDescription,
  options: PullOptions,
) => Promise<PullResult>;
