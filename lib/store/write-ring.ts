import fs from 'node:fs';
import { join } from 'node:path';
import type { FileIo } from './file-io.js';
import { encodeHeader, RING_HEADER_BYTES, readHeader } from './ring-header.js';
import { decodeSlot, encodeSlot, RING_SLOT_BYTES, SLOT_INCOMPLETE, SLOT_RANGE, type Slot } from './ring-slot.js';
import { isLater } from './write-order.js';

/** Writes of all images that may be not done at once; above, images become incomplete. */
export const RING_SLOTS = 4096;
/** Images that may be incomplete at once; above, the ring knows nothing any more until the next boot. */
export const RING_INCOMPLETE_MAX = 256;
/** Images that something is remembered of, before those without slots are forgotten. */
const IMAGES_MAX = 4096;
const NAME = 'ring';

/** A place in a writer's order of writes: generations first, sequences within one; -1 stands before the first. */
export interface WriteMark {
  readonly generation: number;
  readonly sequence: number;
}

/** A write, discard or truncation that was accepted and may not be on all replicas. */
export interface RingRange extends WriteMark {
  readonly vdi: number;
  readonly family: number;
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

interface Image {
  generation: number;
  /** With `generation`: all up to here are done. */
  sequence: number;
  /** In use for it. */
  readonly slots: number[];
  /** The slot that says that it is incomplete, or -1. */
  incomplete: number;
}

/**
 * The ring file of a disk: which ranges of which images writes were accepted for that may not be on every replica. It is
 * never synced: it survives the process and not the kernel, so what is read back counts only under the boot id in its
 * header.
 *
 * Its slots are bounded. When all are in use, an image's further writes are not recorded, but the image is marked
 * *incomplete*: a write never waits for the ring. The mark ends when `done` reaches the last such write. Slots come free
 * when a later write of their image tells so; those of an image that is not written to any more stay until somebody else
 * takes its writer role and tells that all is equal.
 */
export class WriteRing {
  readonly #io: FileIo;
  readonly #bootId: string;
  readonly #fd: number;
  /** What the slots hold, or will when what is being written is. */
  readonly #content = Buffer.alloc((RING_SLOTS + RING_INCOMPLETE_MAX) * RING_SLOT_BYTES);
  readonly #generations = new Float64Array(RING_SLOTS + RING_INCOMPLETE_MAX);
  readonly #sequences = new Float64Array(RING_SLOTS + RING_INCOMPLETE_MAX);
  /** 1 while a slot is being written: it is not used again before. */
  readonly #writing = new Uint8Array(RING_SLOTS + RING_INCOMPLETE_MAX);
  readonly #released = new Uint8Array(RING_SLOTS + RING_INCOMPLETE_MAX);
  readonly #free: number[] = [];
  readonly #freeIncomplete: number[] = [];
  readonly #images = new Map<number, Image>();
  /** Slots of incomplete images that are being written. */
  readonly #marking = new Map<number, Promise<void>>();
  #lost = false;
  #losing: Promise<void> | null = null;

  private constructor(io: FileIo, bootId: string, fd: number) {
    this.#io = io;
    this.#bootId = bootId;
    this.#fd = fd;
  }

  /**
   * Opens a disk's ring, or makes it. `rebooted` says that no earlier process had the disk open under this boot id: a ring
   * that does not have it is then as good as empty. Otherwise the ring is one that knows nothing. Throws as FileIo does.
   */
  static async open(io: FileIo, directory: string, bootId: string, rebooted: boolean): Promise<WriteRing> {
    const fd = await io.open(join(directory, NAME), fs.constants.O_RDWR | fs.constants.O_CREAT);
    const ring = new WriteRing(io, bootId, fd);
    try {
      const header = Buffer.alloc(RING_HEADER_BYTES);
      await io.read(fd, header, RING_HEADER_BYTES, 0);
      const found = readHeader(header);
      if (found?.bootId === bootId) {
        ring.#lost = found.lost;
        await io.read(fd, ring.#content, ring.#content.length, RING_HEADER_BYTES);
        ring.#load();
      } else {
        ring.#lost = !rebooted;
        ring.#load();
        await ring.#reset();
      }
      return ring;
    } catch (error) {
      io.files.closeSync(fd);
      throw error;
    }
  }

  /** The header comes last: a ring that was not made as a whole is made again. */
  async #reset(): Promise<void> {
    await this.#io.write(this.#fd, Buffer.alloc(RING_HEADER_BYTES), 0, RING_HEADER_BYTES, 0);
    await this.#io.write(this.#fd, this.#content, 0, this.#content.length, RING_HEADER_BYTES);
    await this.#writeHeader();
  }

  #writeHeader(): Promise<void> {
    const header = encodeHeader({ bootId: this.#bootId, lost: this.#lost });
    return this.#io.write(this.#fd, header, 0, RING_HEADER_BYTES, 0);
  }

  /** Takes over what an earlier process has left. */
  #load(): void {
    const slots: (Slot | null)[] = [];
    for (let slot = 0; slot < RING_SLOTS + RING_INCOMPLETE_MAX; slot++) {
      // One that is torn was being written: its write had not been applied.
      const found = decodeSlot(this.#content, slot);
      slots.push(found);
      if (found) this.#raiseDone(this.#image(found.vdi), found.doneGeneration, found.doneSequence);
    }
    for (let slot = slots.length - 1; slot >= 0; slot--) {
      const found = slots[slot] ?? null;
      if (!found || !this.#adopt(slot, found)) this.#listOf(slot).push(slot);
    }
    for (const image of this.#images.values()) image.slots.reverse();
  }

  #adopt(slot: number, found: Slot): boolean {
    const image = this.#image(found.vdi);
    this.#generations[slot] = found.generation;
    this.#sequences[slot] = found.sequence;
    if (!isLater(found, image)) return false;
    if (found.kind === SLOT_RANGE) {
      image.slots.push(slot);
      return true;
    }
    // Of two, the newer one covers the other.
    if (image.incomplete >= 0 && !isLater(found, { generation: this.#generations[image.incomplete]!, sequence: 0 }))
      return false;
    if (image.incomplete >= 0) this.#freeIncomplete.push(image.incomplete);
    image.incomplete = slot;
    return true;
  }

  #listOf(slot: number): number[] {
    return slot < RING_SLOTS ? this.#free : this.#freeIncomplete;
  }

  /**
   * To be awaited before the write is applied. `done` frees the image's slots at or below it; it never falls, a lower
   * one changes nothing. Rejects as FileIo does.
   */
  put(range: RingRange, done: WriteMark): Promise<void> {
    return new Promise((resolve, reject) => this.putThen(range, done, resolve, reject));
  }

  /** As `put`, for who has more to do at the end than to resolve a promise. */
  putThen(range: RingRange, done: WriteMark, resolve: () => void, reject: (error: unknown) => void): void {
    const image = this.#image(range.vdi);
    this.#tell(image, done.generation, done.sequence);
    const slot = this.#free.pop();
    if (slot === undefined) {
      this.#putIncomplete(image, range).then(resolve, reject);
      return;
    }
    image.slots.push(slot);
    this.#writeSlot(slot, SLOT_RANGE, range, image, resolve, reject);
  }

  #writeSlot(
    slot: number,
    kind: number,
    range: RingRange,
    image: Image,
    resolve: () => void,
    reject: (error: unknown) => void,
  ): void {
    this.#generations[slot] = range.generation;
    this.#sequences[slot] = range.sequence;
    encodeSlot(this.#content, slot, kind, range, image.generation, image.sequence);
    this.#sendSlot(slot, resolve, reject);
  }

  #sendSlot(slot: number, resolve: () => void, reject: (error: unknown) => void): void {
    const offset = slot * RING_SLOT_BYTES;
    this.#writing[slot] = 1;
    this.#io.writeThen(
      this.#fd,
      this.#content,
      offset,
      RING_SLOT_BYTES,
      RING_HEADER_BYTES + offset,
      () => {
        this.#written(slot);
        resolve();
      },
      (error) => {
        this.#written(slot);
        reject(error);
      },
    );
  }

  #written(slot: number): void {
    this.#writing[slot] = 0;
    if (this.#released[slot] === 1) this.#release(slot);
  }

  /** The slot is free for others, when it is not being written. */
  #release(slot: number): void {
    this.#released[slot] = this.#writing[slot]!;
    if (this.#writing[slot] === 0) this.#listOf(slot).push(slot);
  }

  /**
   * There is no slot for the write. The mark is of the write's generation as a whole, so that it is written once; its
   * end, by the last such write, is known to this process only.
   */
  async #putIncomplete(image: Image, range: RingRange): Promise<void> {
    if (this.#lost) return this.#losing ?? undefined;
    const marked = image.incomplete;
    if (marked >= 0 && this.#generations[marked] === range.generation) {
      this.#sequences[marked] = Math.max(this.#sequences[marked]!, range.sequence);
      // The first may not have been written yet, and this one counts on it.
      return this.#marking.get(marked);
    }
    const slot = this.#freeIncomplete.pop();
    if (slot === undefined) {
      await this.#lose();
      return;
    }
    // One of an older generation is covered by the mark of the new one, which ends later.
    image.incomplete = slot;
    await this.#mark(slot, range, image);
    if (marked < 0) return;
    await this.#marking.get(marked);
    this.#erase(marked);
  }

  #mark(slot: number, range: RingRange, image: Image): Promise<void> {
    const marked = new Promise<void>((resolve, reject) => {
      const whole = { ...range, sequence: Number.MAX_SAFE_INTEGER };
      encodeSlot(this.#content, slot, SLOT_INCOMPLETE, whole, image.generation, image.sequence);
      this.#generations[slot] = range.generation;
      this.#sequences[slot] = range.sequence;
      this.#sendSlot(slot, resolve, reject);
    });
    this.#marking.set(slot, marked);
    return marked.finally(() => this.#marking.delete(slot));
  }

  /** Takes a mark away, in the background. */
  #erase(slot: number): void {
    this.#content.fill(0, slot * RING_SLOT_BYTES, (slot + 1) * RING_SLOT_BYTES);
    // It stays taken where that fails, which is an error of the disk.
    this.#sendSlot(
      slot,
      () => this.#release(slot),
      () => {},
    );
  }

  #lose(): Promise<void> {
    this.#lost = true;
    this.#losing ??= this.#writeHeader();
    return this.#losing;
  }

  /** Tells `done` without a write, as flushes and retirements do. In memory: after a kill more counts as not done. */
  done(vdi: number, mark: WriteMark): void {
    const image = this.#images.get(vdi);
    if (image) this.#tell(image, mark.generation, mark.sequence);
  }

  #tell(image: Image, generation: number, sequence: number): void {
    if (!this.#raiseDone(image, generation, sequence)) return;
    const { slots } = image;
    let kept = 0;
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i]!;
      if (this.#isDone(image, slot)) this.#release(slot);
      else slots[kept++] = slot;
    }
    slots.length = kept;
    // One that is being written is left for the next time: its slot is not to be written twice at once.
    if (image.incomplete >= 0 && this.#writing[image.incomplete] === 0 && this.#isDone(image, image.incomplete)) {
      this.#erase(image.incomplete);
      image.incomplete = -1;
    }
  }

  #raiseDone(image: Image, generation: number, sequence: number): boolean {
    // Nothing of the generation is done, and all that is older.
    if (sequence < 0) return this.#raiseDone(image, generation - 1, Number.MAX_SAFE_INTEGER);
    if (generation < image.generation) return false;
    if (generation === image.generation && sequence <= image.sequence) return false;
    image.generation = generation;
    image.sequence = sequence;
    return true;
  }

  #isDone(image: Image, slot: number): boolean {
    const generation = this.#generations[slot]!;
    if (generation !== image.generation) return generation < image.generation;
    return this.#sequences[slot]! <= image.sequence;
  }

  #image(vdi: number): Image {
    let image = this.#images.get(vdi);
    if (!image) {
      if (this.#images.size >= IMAGES_MAX) this.#forgetIdle();
      image = { generation: 0, sequence: 0, slots: [], incomplete: -1 };
      this.#images.set(vdi, image);
    }
    return image;
  }

  #forgetIdle(): void {
    for (const [vdi, image] of this.#images) {
      if (image.slots.length === 0 && image.incomplete < 0) this.#images.delete(vdi);
    }
  }

  /** All that is not known to be done of an image, that of earlier processes under the same boot id included. */
  above(vdi: number): RingAnswer {
    const image = this.#images.get(vdi);
    if (!image) return { ranges: [], complete: !this.#lost };
    const ranges: RingRange[] = [];
    for (const slot of image.slots) {
      const found = decodeSlot(this.#content, slot);
      if (!found) throw new Error(`slot ${slot} of the ring is not what was put there`);
      const { family, generation, sequence, index, offset, length } = found;
      ranges.push({ vdi, family, generation, sequence, index, offset, length });
    }
    ranges.sort((a, b) => a.generation - b.generation || a.sequence - b.sequence || a.index - b.index);
    return { ranges, complete: !this.#lost && image.incomplete < 0 };
  }

  /** Slots in use. */
  get slotsUsed(): number {
    let used = 0;
    for (const image of this.#images.values()) used += image.slots.length;
    return used;
  }

  close(): void {
    this.#io.files.closeSync(this.#fd);
  }
}
