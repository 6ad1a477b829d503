/** A place in a writer's order of writes: generations first, sequences within one. */
export interface WriteMark {
  readonly generation: number;
  readonly sequence: number;
}

/** A write, discard or truncation that was accepted and may not be on all replicas. */
export interface RingRange {
  readonly vdi: number;
  readonly family: number;
  readonly generation: number;
  readonly sequence: number;
  readonly index: number;
  /** Bytes of the object. */
  readonly offset: number;
  readonly length: number;
}

/** What the ring knows of one image's writes that are not done. */
export interface RingAnswer {
  /** Those above `done`, the oldest first. */
  readonly ranges: readonly RingRange[];
  /** False where the ring does not know all of them: then any active object of the image may differ, whole. */
  readonly complete: boolean;
}

/**
 * The ring file of a disk: which ranges of which images writes were accepted for that may not be on every replica. It is
 * never synced: it survives the process and not the kernel, so what is read back counts only under the boot id in its
 * header.
 *
 * Its slots are bounded. When all are in use, an image's further writes are not recorded, but the image is marked
 * *incomplete* up to the last of them: a write never waits for the ring. The mark ends when `done` reaches it.
 */
export interface WriteRingApi {
  /**
   * To be awaited before the write is applied. `done` frees the image's slots at or below it; it never falls, a lower
   * one changes nothing.
   */
  put(range: RingRange, done: WriteMark): Promise<void>;
  /** Tells `done` without a write, as flushes and retirements do. In memory: after a kill more counts as not done. */
  done(vdi: number, mark: WriteMark): void;
  /** All that is not known to be done of an image, that of earlier processes under the same boot id included. */
  above(vdi: number): RingAnswer;
}
