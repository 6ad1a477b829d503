/**
 * Object I/O as an image needs it, whatever number of copies and hosts stand behind it. On a cluster of one host the
 * host's own disks implement it; a replicated cluster implements it over the links.
 *
 * An object is (family, layer, index) and covers OBJECT_BYTES of the image at `index`. What an image sees at an index
 * is the newest layer of its chain that has an object or a hole there.
 */

export { OBJECT_BYTES } from '../store/constants.js';

export interface ChainLayer {
  layer: number;
  /** Bytes of the image up to which what lies below this layer shows. */
  limit: number;
}

/** An image's view of its family: its layers, newest first. Writes go to the first. */
export interface Chain {
  family: number;
  layers: readonly ChainLayer[];
}

/** A range within one object. */
export interface ObjectRange {
  index: number;
  /** Bytes from the object's start. */
  offset: number;
  length: number;
}

export interface ObjectIO {
  /** Fills `target` with the object's bytes from `offset`; what no layer has reads as zeros. */
  read(chain: Chain, index: number, offset: number, target: Buffer): Promise<void>;
  /** `source` belongs to the callee until it answers. Throws ENOSPC before anything is changed. */
  write(chain: Chain, index: number, offset: number, source: Buffer): Promise<void>;
  /** Makes the range read as zeros and gives its space back where the disk can. */
  discard(chain: Chain, range: ObjectRange): Promise<void>;
  /**
   * Makes sure that a write to the object cannot run out of space: it is given all its blocks. An image's size is found
   * from what the method `end` answers, so that becomes no more than what it was or, where that is more, `end` bytes of
   * this object: as far as the image is known to reach into it, below which later writes have nothing to note.
   */
  allocate(chain: Chain, index: number, end: number): Promise<void>;
  /**
   * The first byte at or after `offset` in the object that is data (`data` true) or reads as zeros without being
   * stored (`data` false), or null when there is none in it.
   */
  seek(chain: Chain, index: number, offset: number, data: boolean): Promise<number | null>;
  /** Everything written through the chain's layers before the call is durable when it resolves. */
  flush(chain: Chain): Promise<void>;
  /** Removes what the top layer has at or beyond `size` bytes, and cuts the object that `size` falls into. */
  truncate(chain: Chain, size: number): Promise<void>;
  /** The highest byte that the top layer holds (0 if none), below `bound`. */
  end(chain: Chain, bound: number): Promise<number>;
  /** Whether any layer of the chain has data or a hole at an index from `from` (inclusive) to `to` (exclusive). */
  next(chain: Chain, from: number, to: number): Promise<number | null>;
  /** Bytes that the layer takes up itself; those of holes do not count. Not 0 where it holds an object. */
  usage(family: number, layer: number): number;
  /** Deletes every object of a layer that nothing refers to. Safe to repeat. */
  deleteLayer(family: number, layer: number): Promise<void>;
  /**
   * Gives everything that `layer` has and `child` lacks to `child`, up to `limit` bytes of the image (the child's
   * limit, asked for anew for each object: an image may be cut meanwhile), and deletes the rest of `layer`. Safe to
   * repeat.
   */
  mergeLayer(family: number, layer: number, child: number, limit: () => number): Promise<void>;
}
