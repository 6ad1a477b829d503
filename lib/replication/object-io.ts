/**
 * Object I/O as an image needs it, whatever number of copies and hosts stand behind it; ReplicaHost implements it.
 *
 * An object is (family, layer, index) and covers OBJECT_BYTES of the image at `index`. What an image sees at an index
 * is the newest layer of its chain that has an object or a hole there.
 */

import type { Compare, Operation, Transaction } from '../coordination/coordination.js';

export { OBJECT_BYTES } from '../store/constants.js';

/** As the file layer has it. */
export interface Timestamp {
  readonly seconds: number;
  readonly nanoseconds: number;
}

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

/** What replication needs to know of an image; `lib/vdi` keeps it. */
export interface ImageOptions {
  readonly vdi: number;
  readonly copies: number;
  /** What the image shows, as it was stored together with `generation`. */
  chain(): Chain;
  /** The writer generation that the chain was read with. */
  generation(): number;
  /**
   * Reads generation and chain anew from the coordination store, in one transaction that begins after the call. Rejects
   * as the store does, and with ESTALE where the image is gone.
   */
  refresh(): Promise<void>;
  /**
   * This host has just taken the writer role, and `refresh` has been called since. Whatever an earlier holder has left
   * half done is done before the promise resolves; nothing else of this host is changed or flushed until then.
   */
  acquired(role: NewRole): Promise<void>;
  /** Called with the role held before a change of bytes up to `end` of the image begins. Null: it may begin at once. */
  reaches(end: number): Promise<void> | null;
  /** What the transaction stores besides that gives the role away, with no change in flight. */
  settled(): Promise<Pick<Transaction, 'compare' | 'success'>>;
  /** What is known of the image only where the role is held. */
  attributes(): ImageAttributes;
}

/** The writer role before anybody uses it. */
export interface NewRole {
  readonly generation: number;
  /** Resolves when what earlier holders have left different is equal at all copies; false: the role was lost. */
  equalized(): Promise<boolean>;
  /** See ImageObjects.truncate; false: the role was lost. */
  truncate(size: number): Promise<boolean>;
  /** See ImageObjects.end; null: the role was lost. */
  end(bound: number): Promise<number | null>;
}

/** Of an image that is being written: its stored record may lag. */
export interface ImageAttributes {
  readonly size: number;
  readonly mtime: Timestamp;
}

/** What a transaction has to contain that begins another generation of an image. See `Objects.step`. */
export interface GenerationStep {
  readonly compare: Compare;
  readonly put: Operation;
}

/**
 * What became of a step: its transaction was carried out; nothing is to be stored; or others were faster, and it is to
 * be tried again.
 */
export type Stepped<Result> = { readonly stored: boolean; readonly result: Result } | 'again';

/**
 * The objects of one image, wherever their copies are. Indexes, offsets and lengths are those of one object unless a
 * method says otherwise. `opened` is the generation that the image had when the handle was opened; calls of a handle
 * that is dead since another host took the image over throw FencedError. Infinity: no handle.
 */
export interface ImageObjects {
  /** The generation under which this host holds the writer role; null: it does not, or not yet. */
  readonly held: number | null;
  /** Takes the writer role, as a change would. */
  hold(opened: number): Promise<void>;
  /** The store has another holder on record, or may have: finds out. */
  recheck(): Promise<void>;
  /** Takes the role only for what others need to know or to have equal: leaves the handles of its holder alone. */
  settle(): Promise<void>;
  /** Gives the writer role back, if this host has it and it can be given now: whoever takes it has nothing to find out. */
  giveBack(): Promise<void>;
  /** What the holder of the role says of the image; null where that one does not answer, or holds it no more. */
  ask(holder: string, generation: number): Promise<ImageAttributes | null>;
  /**
   * For what needs no object: whether the handle is known to be alive under the generation that the image has now. False,
   * after a while: that cannot be found out yet, and what was found before may be too old. Throws FencedError.
   */
  isAlive(opened: number): Promise<boolean>;
  /** Fills `target` with the object's bytes from `offset`; what no layer has reads as zeros. */
  read(index: number, offset: number, target: Buffer, opened: number): Promise<void>;
  /** `source` belongs to the callee until it answers. Throws ENOSPC before anything is changed. */
  write(index: number, offset: number, source: Buffer, opened: number): Promise<void>;
  /** Makes the range read as zeros and gives its space back where the disk can. */
  discard(index: number, offset: number, length: number, opened: number): Promise<void>;
  /**
   * Makes sure that a write to the object cannot run out of space: it is given all its blocks. An image's size is found
   * from what the method `end` answers, so that becomes no more than what it was or, where that is more, `reach()` bytes
   * of this object: as far as the image reaches into it, below which later writes have nothing to note. That is asked
   * under the role, as another host may have cut the image before; where it is 0, nothing is done.
   */
  allocate(index: number, reach: () => number, opened: number): Promise<void>;
  /**
   * The first byte at or after `offset` in the object that is data (`data` true) or reads as zeros without being
   * stored (`data` false), or null when there is none in it.
   */
  seek(index: number, offset: number, data: boolean, opened: number): Promise<number | null>;
  /** Everything that was written to the image before the call is durable when it resolves. */
  flush(opened: number): Promise<void>;
  /**
   * Removes what the top layer has at or beyond `size` bytes of the image, and cuts the object that it falls into; durable
   * when it resolves, unless the role was lost meanwhile.
   */
  truncate(size: number): Promise<void>;
  /** The highest byte of the image that the top layer holds (0 if none), below `bound`. */
  end(bound: number): Promise<number>;
  /** The first index from `from` (inclusive) to `to` (exclusive) where one of these layers, or any, has something. */
  next(from: number, to: number, layers?: readonly number[]): Promise<number | null>;
  /** Forgets what this host knows of the image, which is gone. */
  close(): void;
}

/** Layers of this host's disks that are to be deleted or merged, a disk at a time. */
export interface LayerDisk {
  readonly number: number;
  /** Deletes every object of a layer that nothing refers to; durable when it resolves. Safe to repeat. */
  deleteLayer(family: number, layer: number): Promise<void>;
  /**
   * Gives everything that `layer` has and `child` lacks to `child`, up to `limit` bytes of the image (the child's limit),
   * and deletes the rest of `layer`; durable when it resolves. Safe to repeat.
   */
  mergeLayer(family: number, layer: number, child: number, limit: number): Promise<void>;
}

/** The objects of all images, as one host reaches them. */
export interface Objects {
  image(options: ImageOptions): ImageObjects;
  /**
   * Takes the writer roles of these images, holds their changes back, makes all that earlier holders left different
   * equal, flushes and retires everything; then `change` carries out a transaction that contains every step it is given.
   * When this resolves every host that is up knows the new generations, and goes by nothing older. Where the store did not
   * answer `change` is called again, and has to find out whether it was carried out: then nothing is to be stored. Handles
   * that were opened on the hosts of `ends` are dead from the new generations on.
   */
  step<Result>(
    images: readonly ImageObjects[],
    opened: number,
    change: (steps: readonly GenerationStep[]) => Promise<Stepped<Result>>,
    ends?: readonly string[],
  ): Promise<Result>;
  /** Bytes that the layer takes up on this host's disks; those of holes do not count. Not 0 where it holds an object. */
  usage(family: number, layer: number): number;
  /** This host's disks that work. */
  readonly layerDisks: readonly LayerDisk[];
}
