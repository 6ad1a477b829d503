import fs from 'node:fs';
import { join } from 'node:path';
import type { FileIo } from './file-io.js';
import { encodeHeader, RING_HEADER_BYTES, readHeader } from './ring-header.js';
import {
  clearSlot,
  decodeSlot,
  encodeSlot,
  familyOfSlot,
  indexOfSlot,
  RING_SLOT_BYTES,
  SLOT_INCOMPLETE,
  SLOT_RANGE,
  type Slot,
} from './ring-slot.js';
import { isLater, type WriteOrder } from './write-order.js';

/** Writes of all images that may be not done at once; above, images become incomplete. */
export const RING_SLOTS = 4096;
/** Images that may be incomplete at once; above, the ring knows nothing any more until the next boot. */
export const RING_INCOMPLETE_MAX = 256;
/** Images that something is remembered of, before those without slots are forgotten. */
const IMAGES_MAX = 4096;
const NAME = 'ring';
const EVERY_SEQUENCE = Number.MAX_SAFE_INTEGER;

/** How far the writes of an image are done, as its writer tells: see ChangeRequest of replication. */
export interface Done {
  readonly generation: number;
  /** Those of the generation below it are. */
  readonly below: number;
  /** And all of older generations. */
  readonly older: boolean;
}

/** A write, discard or truncation that was accepted and may not be on all replicas. */
export interface RingRange extends WriteOrder {
  readonly family: number;
  readonly index: number;
  /** Bytes of the object. */
  readonly offset: number;
  readonly length: number;
}

/** What the ring knows of one image's writes that are not done. */
export interface RingAnswer {
  /** The oldest first. */
  readonly ranges: readonly RingRange[];
  /** False where the ring does not know all of them: then any active object of the image may differ, whole. */
  readonly complete: boolean;
}

/** What may be different about one index, for whoever copies it. */
export interface RingDoubts {
  readonly ranges: readonly RingRange[];
  /** Of images whose writes are not all in `ranges`: the last that is not. */
  readonly incomplete: readonly (WriteOrder & { readonly family: number })[];
  /** Nothing is known. */
  readonly lost: boolean;
}

interface Image {
  /** With `sequence`: all up to here, of this and of older generations, are done. */
  generation: number;
  sequence: number;
  /** Of the newest generation that told so, the writes below `below` are done, whatever is of older ones. */
  ownGeneration: number;
  ownBelow: number;
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
 * A slot is written with one synchronous call into the page cache: that takes less time than handing it to another
 * thread, and nothing has to wait for it. Where the disk's own file system may keep such a call waiting, the ring is to be
 * in a directory in memory: it would not outlive the kernel there either.
 *
 * Its slots are bounded. When all are in use, an image's further writes are not recorded, but the image is marked
 * *incomplete*: a write never waits for the ring. The mark ends when all up to the last such write is done. Slots come free
 * when a later request of their image tells so; those of an image that nobody writes to any more stay until somebody else
 * takes its writer role and tells that all is equal.
 */
export class WriteRing {
  readonly #io: FileIo;
  readonly #bootId: string;
  readonly #fd: number;
  /** What the slots hold. */
  readonly #content = Buffer.alloc((RING_SLOTS + RING_INCOMPLETE_MAX) * RING_SLOT_BYTES);
  readonly #generations = new Float64Array(RING_SLOTS + RING_INCOMPLETE_MAX);
  readonly #sequences = new Float64Array(RING_SLOTS + RING_INCOMPLETE_MAX);
  readonly #free: number[] = [];
  readonly #freeIncomplete: number[] = [];
  readonly #images = new Map<number, Image>();
  #lost = false;

  private constructor(io: FileIo, bootId: string, fd: number) {
    this.#io = io;
    this.#bootId = bootId;
    this.#fd = fd;
  }

  /**
   * Opens a disk's ring, or makes it. `rebooted` says that no earlier process had the disk open under this boot id, or that
   * the disk was away since: the ring is then as good as empty. Otherwise one with another boot id knows nothing. Throws as FileIo does.
   */
  static async open(io: FileIo, directory: string, bootId: string, rebooted: boolean): Promise<WriteRing> {
    const fd = await io.open(join(directory, NAME), fs.constants.O_RDWR | fs.constants.O_CREAT);
    const ring = new WriteRing(io, bootId, fd);
    try {
      const header = Buffer.alloc(RING_HEADER_BYTES);
      await io.read(fd, header, RING_HEADER_BYTES, 0);
      const found = readHeader(header);
      if (found?.bootId === bootId && !rebooted) {
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

  /** The kernel's boot id, under which all that it knows was noted. */
  get bootId(): string {
    return this.#bootId;
  }

  /** The header comes last: a ring that was not made as a whole is made again. */
  async #reset(): Promise<void> {
    await this.#io.write(this.#fd, Buffer.alloc(RING_HEADER_BYTES), 0, RING_HEADER_BYTES, 0);
    await this.#io.write(this.#fd, this.#content, 0, this.#content.length, RING_HEADER_BYTES);
    await this.#io.write(this.#fd, this.#header(), 0, RING_HEADER_BYTES, 0);
  }

  #header(): Buffer {
    return encodeHeader({ bootId: this.#bootId, lost: this.#lost });
  }

  /** Takes over what an earlier process has left. */
  #load(): void {
    const slots: (Slot | null)[] = [];
    for (let slot = 0; slot < RING_SLOTS + RING_INCOMPLETE_MAX; slot++) {
      // One that is torn was being written: its write had not been applied.
      const found = decodeSlot(this.#content, slot);
      slots.push(found);
      if (found) raise(this.#image(found.vdi), found.doneGeneration, found.doneSequence);
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
   * Notes a change, before it is applied; `below` and `older` are the `Done` of its generation, which frees slots and
   * never falls: less than before changes nothing. Throws as FileIo rejects.
   */
  put(
    order: WriteOrder,
    family: number,
    index: number,
    offset: number,
    length: number,
    below: number,
    older: boolean,
  ): void {
    const image = this.#image(order.vdi);
    this.#tell(image, order.generation, below, older);
    this.#note(image, order, family, index, offset, length);
  }

  #note(image: Image, order: WriteOrder, family: number, index: number, offset: number, length: number): void {
    const slot = this.#free.pop();
    if (slot === undefined) {
      this.#putIncomplete(image, order, family);
      return;
    }
    image.slots.push(slot);
    this.#generations[slot] = order.generation;
    this.#sequences[slot] = order.sequence;
    const { generation, sequence } = image;
    encodeSlot(
      this.#content,
      slot,
      SLOT_RANGE,
      order,
      order.sequence,
      family,
      index,
      offset,
      length,
      generation,
      sequence,
    );
    this.#writeSlot(slot);
  }

  #writeSlot(slot: number): void {
    const offset = slot * RING_SLOT_BYTES;
    this.#io.writeNow(this.#fd, this.#content, offset, RING_SLOT_BYTES, RING_HEADER_BYTES + offset);
  }

  /**
   * There is no slot for the write. The mark is of the write's generation as a whole, so that it is written once; its
   * end, by the last such write, is known to this process only.
   */
  #putIncomplete(image: Image, order: WriteOrder, family: number): void {
    if (this.#lost) return;
    const marked = image.incomplete;
    if (marked >= 0 && this.#generations[marked]! >= order.generation) {
      // Of one that is older the newer mark ends later.
      if (this.#generations[marked] === order.generation)
        this.#sequences[marked] = Math.max(this.#sequences[marked]!, order.sequence);
      return;
    }
    const slot = this.#freeIncomplete.pop();
    if (slot === undefined) {
      this.#lose();
      return;
    }
    image.incomplete = slot;
    this.#generations[slot] = order.generation;
    this.#sequences[slot] = order.sequence;
    const { generation, sequence } = image;
    encodeSlot(this.#content, slot, SLOT_INCOMPLETE, order, EVERY_SEQUENCE, family, 0, 0, 0, generation, sequence);
    this.#writeSlot(slot);
    // One of an older generation is covered by the mark of the new one, which ends later.
    if (marked >= 0) this.#erase(marked);
  }

  /** Takes a mark away. */
  #erase(slot: number): void {
    clearSlot(this.#content, slot);
    this.#writeSlot(slot);
    this.#freeIncomplete.push(slot);
  }

  #lose(): void {
    this.#lost = true;
    this.#io.writeNow(this.#fd, this.#header(), 0, RING_HEADER_BYTES, 0);
  }

  /** Tells what is done without a write, as flushes and retirements do. In memory: after a kill more counts as not done. */
  tell(vdi: number, { generation, below, older }: Done): void {
    const image = this.#images.get(vdi);
    if (image) this.#tell(image, generation, below, older);
  }

  #tell(image: Image, generation: number, below: number, older: boolean): void {
    const isMore = older ? raise(image, generation, below - 1) : raiseOwn(image, generation, below);
    if (!isMore) return;
    const { slots } = image;
    let kept = 0;
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i]!;
      if (this.#isDone(image, slot)) this.#free.push(slot);
      else slots[kept++] = slot;
    }
    slots.length = kept;
    const { incomplete } = image;
    if (incomplete < 0 || isLater(this.#orderOf(incomplete), image)) return;
    image.incomplete = -1;
    this.#erase(incomplete);
  }

  #isDone(image: Image, slot: number): boolean {
    const generation = this.#generations[slot]!;
    const sequence = this.#sequences[slot]!;
    if (generation === image.ownGeneration && sequence < image.ownBelow) return true;
    if (generation !== image.generation) return generation < image.generation;
    return sequence <= image.sequence;
  }

  #orderOf(slot: number): { generation: number; sequence: number } {
    return { generation: this.#generations[slot]!, sequence: this.#sequences[slot]! };
  }

  #image(vdi: number): Image {
    let image = this.#images.get(vdi);
    if (!image) {
      if (this.#images.size >= IMAGES_MAX) this.#forgetIdle();
      image = { generation: 0, sequence: 0, ownGeneration: 0, ownBelow: 0, slots: [], incomplete: -1 };
      this.#images.set(vdi, image);
    }
    return image;
  }

  #forgetIdle(): void {
    for (const [vdi, image] of this.#images) {
      if (image.slots.length === 0 && image.incomplete < 0) this.#images.delete(vdi);
    }
  }

  /** What is not known to be done of an image, that of earlier processes under the same boot id included. */
  above(vdi: number): RingAnswer {
    const image = this.#images.get(vdi);
    if (!image) return { ranges: [], complete: !this.#lost };
    const ranges = image.slots.map((slot) => this.#rangeAt(slot));
    ranges.sort((a, b) => a.generation - b.generation || a.sequence - b.sequence || a.index - b.index);
    return { ranges, complete: !this.#lost && image.incomplete < 0 };
  }

  /** What a copy of the index that is made here may lack, or have, that others do not. */
  doubts(family: number, index: number): RingDoubts {
    const ranges: RingRange[] = [];
    const incomplete: (WriteOrder & { family: number })[] = [];
    for (const [vdi, image] of this.#images) {
      for (const slot of image.slots) {
        if (indexOfSlot(this.#content, slot) !== index || familyOfSlot(this.#content, slot) !== family) continue;
        ranges.push(this.#rangeAt(slot));
      }
      const mark = image.incomplete;
      if (mark < 0 || familyOfSlot(this.#content, mark) !== family) continue;
      incomplete.push({ vdi, family, ...this.#orderOf(mark) });
    }
    return { ranges, incomplete, lost: this.#lost };
  }

  /** Notes what is doubtful of a copy before it is put in place, by all that its source has told. Throws as FileIo rejects. */
  inherit(all: readonly RingDoubts[]): void {
    const found = new Map<string, RingRange>();
    for (const { ranges } of all) {
      for (const range of ranges) found.set(`${range.vdi}/${range.generation}/${range.sequence}`, range);
    }
    for (const { family, index, offset, length, ...order } of found.values()) {
      const image = this.#image(order.vdi);
      // What the writer told to be done is on this copy too, or is being applied to it.
      if (isLater(order, image)) this.#note(image, order, family, index, offset, length);
    }
    for (const { family, ...order } of all.flatMap(({ incomplete }) => incomplete)) {
      const image = this.#image(order.vdi);
      if (isLater(order, image)) this.#putIncomplete(image, order, family);
    }
    if (all.some(({ lost }) => lost) && !this.#lost) this.#lose();
  }

  #rangeAt(slot: number): RingRange {
    const found = decodeSlot(this.#content, slot);
    if (!found) throw new Error(`slot ${slot} of the ring is not what was put there`);
    const { vdi, family, generation, sequence, index, offset, length } = found;
    return { vdi, family, generation, sequence, index, offset, length };
  }

  /** Slots in use. */
  get slotsUsed(): number {
    return RING_SLOTS - this.#free.length;
  }

  close(): void {
    this.#io.files.closeSync(this.#fd);
  }
}

/** All up to `sequence`, and what is older, is done; -1 stands before the first. Answers whether that is more than before. */
function raise(image: Image, generation: number, sequence: number): boolean {
  if (sequence < 0) return raise(image, generation - 1, EVERY_SEQUENCE);
  if (generation < image.generation || (generation === image.generation && sequence <= image.sequence)) return false;
  image.generation = generation;
  image.sequence = sequence;
  return true;
}

function raiseOwn(image: Image, generation: number, below: number): boolean {
  if (generation < image.ownGeneration || (generation === image.ownGeneration && below <= image.ownBelow)) return false;
  image.ownGeneration = generation;
  image.ownBelow = below;
  return true;
}
