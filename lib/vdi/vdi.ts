import { SEEK_DATA, type Timestamp } from '../fuse/operations.js';
import { type Chain, OBJECT_BYTES, type ObjectIO } from '../replication/object-io.js';
import type { Catalog } from './catalog.js';
import { VdiError } from './errors.js';
import { chainOf, nextVersion, setLimit, topOf } from './family.js';
import { RangeLock } from './range-lock.js';
import { compareTimes, type FamilyRecord, now, VDI_BYTES_MAX, type VdiRecord } from './records.js';

/** The bound on the size is raised by an eighth of the image, at least this much. */
const BOUND_STEP_MIN = 64 * 1024 * 1024;
/** A modification time that is this much newer than the stored one is stored at the next fsync. */
const MTIME_LAG_MS = 1000;

/** The pieces of a byte range that lie in one object each. */
function* objectRanges(offset: number, length: number) {
  for (let at = offset; at < offset + length; ) {
    const index = Math.floor(at / OBJECT_BYTES);
    const start = at - index * OBJECT_BYTES;
    const bytes = Math.min(OBJECT_BYTES - start, offset + length - at);
    yield { index, offset: start, length: bytes, position: at - offset };
    at += bytes;
  }
}

function roundUp(bytes: number): number {
  return Math.min(VDI_BYTES_MAX, Math.ceil(bytes / OBJECT_BYTES) * OBJECT_BYTES);
}

/**
 * One image, open on this host: cuts reads and writes into objects, keeps its size, and orders what must be ordered.
 * There is one instance an image and process.
 *
 * Its size and modification time run ahead of the stored record; `bound` there is always at least the size, so that a
 * later process finds the true size from the objects below it.
 */
export class Vdi {
  readonly id: number;
  readonly #catalog: Catalog;
  readonly #objects: ObjectIO;
  readonly #onFamily: (family: FamilyRecord) => void;
  readonly #ranges = new RangeLock();
  #record: VdiRecord;
  #chain: Chain;
  /** Of the family's record that the chain is from. */
  #familyVersion: number;
  #size: number;
  #mtime: Timestamp;
  /** When its data was last changed by this process: its ctime, unless that is later. */
  #changed: Timestamp = { seconds: 0, nanoseconds: 0 };
  /**
   * Whether the cut that the stored record tells of has been made. The next change of the record takes the mark away;
   * until then it is harmless, since `bound` is the size: nothing can lie beyond it that another cut would lose.
   */
  #cutMade = false;
  /** Serialises changes of size, bound and layers. */
  #tail: Promise<unknown> = Promise.resolve();

  /** `onFamily` hears of each change that the image makes to its family. */
  constructor(
    record: VdiRecord,
    family: FamilyRecord,
    context: { catalog: Catalog; objects: ObjectIO; onFamily: (family: FamilyRecord) => void },
  ) {
    this.id = record.id;
    this.#record = record;
    this.#chain = chainOf(family, record.id);
    this.#familyVersion = family.version;
    this.#size = record.size;
    this.#mtime = record.mtime;
    this.#catalog = context.catalog;
    this.#objects = context.objects;
    this.#onFamily = context.onFamily;
  }

  /** The record as it is now, with the size and times that may not be stored yet. */
  get record(): VdiRecord {
    return { ...this.#record, size: this.#size, mtime: this.#mtime, ctime: this.#ctimeOver(this.#record) };
  }

  get size(): number {
    return this.#size;
  }

  get chain(): Chain {
    return this.#chain;
  }

  /** What an earlier process left to do: find the size that it had reached, finish a cut that it had begun. */
  async recover(): Promise<void> {
    await this.#alone(async () => {
      await this.#finishCut();
      const { size, bound } = this.#record;
      if (bound > size) {
        this.#size = Math.max(size, Math.min(bound, await this.#objects.end(this.#chain, bound)));
        await this.#store((record) => ({ ...record, size: this.#size, bound: this.#size }));
      }
    });
  }

  /** Reads into `target` and answers how many bytes lie below the end of the image. */
  read(offset: number, target: Buffer): Promise<number> {
    const length = Math.min(target.length, this.#size - offset);
    if (length <= 0) return Promise.resolve(0);
    const index = Math.floor(offset / OBJECT_BYTES);
    const start = offset - index * OBJECT_BYTES;
    const whole = length === target.length ? target : target.subarray(0, length);
    if (start + length <= OBJECT_BYTES) return this.#objects.read(this.#chain, index, start, whole).then(() => length);
    return this.#readAcross(offset, whole);
  }

  async #readAcross(offset: number, target: Buffer): Promise<number> {
    const parts = [];
    for (const part of objectRanges(offset, target.length)) {
      const into = target.subarray(part.position, part.position + part.length);
      parts.push(this.#objects.read(this.#chain, part.index, part.offset, into));
    }
    await Promise.all(parts);
    return target.length;
  }

  /** Writes `data`, which stays the callee's until this resolves. Throws EFBIG, ENOSPC. */
  async write(offset: number, data: Buffer): Promise<number> {
    const end = offset + data.length;
    if (end > VDI_BYTES_MAX) throw new VdiError('EFBIG', 'a write beyond the greatest size of an image');
    const range = this.#ranges.tryTake(offset, end) ?? (await this.#ranges.wait(offset, end));
    try {
      if (end > this.#record.bound) await this.#raiseBound(end);
      const index = Math.floor(offset / OBJECT_BYTES);
      const start = offset - index * OBJECT_BYTES;
      if (start + data.length <= OBJECT_BYTES) await this.#objects.write(this.#chain, index, start, data);
      else await this.#writeAcross(offset, data);
      if (end > this.#size) this.#size = end;
      this.#dataChanged();
    } finally {
      this.#ranges.release(range);
    }
    return data.length;
  }

  async #writeAcross(offset: number, data: Buffer): Promise<void> {
    const parts = [];
    for (const part of objectRanges(offset, data.length)) {
      const from = data.subarray(part.position, part.position + part.length);
      parts.push(this.#objects.write(this.#chain, part.index, part.offset, from));
    }
    // Every part must have ended before the buffer and the range are let go, whichever failed.
    const failed = (await Promise.allSettled(parts)).find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /** Makes a range read as zeros and gives its space back. What lies beyond the end of the image is left out. */
  async discard(offset: number, length: number): Promise<void> {
    const range = await this.#ranges.take(offset, offset + length);
    try {
      const end = Math.min(offset + length, this.#size);
      if (end <= offset) return;
      // The size is found from the highest object: it must be stored before that one can go.
      if (this.#record.size < this.#size && end >= this.#size) await this.#settleSize();
      for (const part of objectRanges(offset, end - offset)) await this.#objects.discard(this.#chain, part);
      this.#dataChanged();
    } finally {
      this.#ranges.release(range);
    }
  }

  /** Gives a range all its blocks, so that writing there cannot run out of space; grows the image unless `keepSize`. */
  async allocate(offset: number, length: number, keepSize: boolean): Promise<void> {
    const end = offset + length;
    if (end > VDI_BYTES_MAX) throw new VdiError('EFBIG', 'beyond the greatest size of an image');
    if (!keepSize) await this.grow(end);
    const stop = Math.min(end, this.#size);
    for (const { index } of objectRanges(offset, Math.max(0, stop - offset))) {
      const range = await this.#ranges.take(index * OBJECT_BYTES, (index + 1) * OBJECT_BYTES);
      try {
        const shown = Math.min(OBJECT_BYTES, Math.max(0, this.#size - index * OBJECT_BYTES));
        await this.#objects.allocate(this.#chain, index, shown);
      } finally {
        this.#ranges.release(range);
      }
    }
  }

  /**
   * The first offset at or after `offset` that is data (SEEK_DATA) or a hole (SEEK_HOLE; the end of the image counts
   * as one). Null where there is none, which lseek(2) answers as ENXIO.
   */
  async seek(offset: number, whence: number): Promise<number | null> {
    if (offset >= this.#size) return null;
    return whence === SEEK_DATA ? this.#seekData(offset) : this.#seekHole(offset);
  }

  async #seekData(offset: number): Promise<number | null> {
    const last = Math.ceil(this.#size / OBJECT_BYTES);
    let index = Math.floor(offset / OBJECT_BYTES);
    let start = offset - index * OBJECT_BYTES;
    for (;;) {
      const next = await this.#objects.next(this.#chain, index, last);
      if (next === null) return null;
      if (next > index) start = 0;
      index = next;
      const found = await this.#objects.seek(this.#chain, index, start, true);
      if (found !== null) {
        const position = index * OBJECT_BYTES + found;
        return position < this.#size ? position : null;
      }
      index++;
      start = 0;
    }
  }

  async #seekHole(offset: number): Promise<number> {
    let index = Math.floor(offset / OBJECT_BYTES);
    let start = offset - index * OBJECT_BYTES;
    for (; index * OBJECT_BYTES < this.#size; index++, start = 0) {
      const found = await this.#objects.seek(this.#chain, index, start, false);
      if (found !== null) return Math.min(this.#size, index * OBJECT_BYTES + found);
    }
    return this.#size;
  }

  /** Everything written before the call survives a power cut when it resolves; times too unless `dataOnly`. */
  async flush(dataOnly: boolean): Promise<void> {
    await this.#objects.flush(this.#chain);
    // The size needs no storing: after a power cut it is found from what the flush has made durable.
    const lag = (this.#mtime.seconds - this.#record.mtime.seconds) * 1000;
    if (!dataOnly && lag >= MTIME_LAG_MS) await this.#settleSize();
  }

  /** Stores the size and time as they are: after the last close, nothing has to be found out. */
  async settle(): Promise<void> {
    const { size, bound, mtime, cutting } = this.#record;
    if (size === this.#size && bound === size && !cutting && compareTimes(mtime, this.#mtime) === 0) return;
    await this.#frozen(() => this.#store((stored) => this.#settled(stored, this.#size)));
  }

  /** Sets the size; what is cut off is gone, what is added reads as zeros. Throws EFBIG. */
  async resize(size: number): Promise<void> {
    if (size > VDI_BYTES_MAX) throw new VdiError('EFBIG', 'beyond the greatest size of an image');
    await this.#frozen(async () => {
      if (size >= this.#size) return this.#storeGrown(size);
      const time = now();
      await this.#storeCutting(size, time);
      this.#size = size;
      this.#mtime = time;
      await this.#finishCut();
    });
  }

  /** Makes the image at least as long as `size`, whatever else makes it longer meanwhile. Throws EFBIG. */
  async grow(size: number): Promise<void> {
    if (size > VDI_BYTES_MAX) throw new VdiError('EFBIG', 'beyond the greatest size of an image');
    if (size <= this.#size) return;
    await this.#frozen(async () => {
      if (size > this.#size) await this.#storeGrown(size);
    });
  }

  async #storeGrown(size: number): Promise<void> {
    const time = now();
    const bound = Math.max(size, this.#record.bound);
    await this.#store((record) => ({ ...record, size, bound, mtime: time, ctime: time }));
    this.#size = size;
    this.#mtime = time;
  }

  // One transaction marks the cut and lowers the top layer's limit, so that growing again never shows what lay below.
  async #storeCutting(size: number, time: Timestamp): Promise<void> {
    const { record, family } = await this.#catalog.changeImage(this.id, (record, family) => {
      const top = topOf(family, this.id);
      const limit = Math.min(size, family.layers[top]!.limit);
      return {
        record: { ...record, size, bound: size, cutting: true, mtime: time, ctime: time },
        family: nextVersion(setLimit(family, top, limit)),
      };
    });
    this.#record = record;
    this.#cutMade = false;
    this.useFamily(family);
    this.#onFamily(family);
  }

  /** Nothing may be stored of a greater size while there is a cut to be made, by this process or an earlier one. */
  async #finishCut(): Promise<void> {
    if (!this.#record.cutting || this.#cutMade) return;
    await this.#objects.truncate(this.#chain, this.#record.size);
    this.#cutMade = true;
  }

  /** Changes owner, mode, times or extended attributes; the answer is the record as it then is. */
  async setAttributes(change: (record: VdiRecord) => VdiRecord): Promise<VdiRecord> {
    return this.#alone(async () => {
      let before = this.#mtime;
      await this.#store((stored) => {
        const { size, bound } = stored;
        before = this.#mtime;
        return { ...change({ ...stored, mtime: before, ctime: this.#ctimeOver(stored) }), size, bound };
      });
      // Unless it was set, a write that came meanwhile has the later one.
      if (compareTimes(this.#record.mtime, before) !== 0) this.#mtime = this.#record.mtime;
      return this.record;
    });
  }

  /** Takes over what was stored of the image by somebody else (a rename, an unlink). */
  async reload(): Promise<void> {
    await this.#alone(async () => {
      const stored = await this.#catalog.vdi(this.id);
      if (stored) this.#record = stored.record;
    });
  }

  /** Takes over a change of the family's layers. Two may be told of in another order than they were made. */
  useFamily(family: FamilyRecord): void {
    const newer = family.id === this.#chain.family && family.version > this.#familyVersion;
    if (newer && family.images[this.id] !== undefined) this.#setChain(family);
  }

  #setChain(family: FamilyRecord): void {
    this.#chain = chainOf(family, this.id);
    this.#familyVersion = family.version;
  }

  /**
   * Runs `change` with no write in flight: for what gives the image another chain of layers. Its size is stored before,
   * so that it can be relied on. Nothing is flushed: a flush of any image reaches all layers of its chain, so what was
   * not flushed here may be lost in a power cut as before, there and here alike.
   */
  async restack(change: () => Promise<{ record: VdiRecord; family: FamilyRecord } | null>): Promise<void> {
    await this.#frozen(async () => {
      await this.#finishCut();
      if (this.#record.size !== this.#size) await this.#store((stored) => this.#settled(stored, this.#size));
      const before = this.#record.mtime;
      const changed = await change();
      if (!changed) return;
      this.#record = changed.record;
      this.#size = changed.record.size;
      // What is stored of an image that is only a source may lag.
      if (compareTimes(changed.record.mtime, before) !== 0) this.#mtime = changed.record.mtime;
      if (changed.family.id === this.#chain.family) this.useFamily(changed.family);
      else this.#setChain(changed.family);
    });
  }

  async #raiseBound(end: number): Promise<void> {
    await this.#alone(async () => {
      if (end <= this.#record.bound) return;
      const bound = roundUp(end + Math.max(BOUND_STEP_MIN, Math.floor(end / 8)));
      await this.#store((record) => ({ ...record, bound }));
    });
  }

  async #settleSize(): Promise<void> {
    await this.#alone(() => this.#store((stored) => this.#settled(stored, Math.max(stored.bound, this.#size))));
  }

  #settled(stored: VdiRecord, bound: number): VdiRecord {
    return { ...stored, size: this.#size, bound, mtime: this.#mtime, ctime: this.#ctimeOver(stored) };
  }

  #dataChanged(): void {
    this.#mtime = now();
    this.#changed = this.#mtime;
  }

  #ctimeOver(stored: VdiRecord): Timestamp {
    return compareTimes(stored.ctime, this.#changed) < 0 ? this.#changed : stored.ctime;
  }

  async #store(change: (record: VdiRecord) => VdiRecord): Promise<void> {
    await this.#finishCut();
    this.#record = await this.#catalog.update(this.id, ({ cutting: _made, ...stored }) => change(stored));
  }

  #alone<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  // Freezing before queueing would wait for writes that wait for the queue (to raise the bound): so each in its turn.
  async #frozen<Result>(work: () => Promise<Result>): Promise<Result> {
    await this.#ranges.freeze();
    try {
      return await this.#alone(work);
    } finally {
      this.#ranges.thaw();
    }
  }
}
