import type { Compare, Operation } from '../coordination/coordination.js';
import { SEEK_DATA, type Timestamp } from '../fuse/operations.js';
import {
  type Chain,
  type ImageAttributes,
  type ImageObjects,
  type ImageOptions,
  type NewRole,
  OBJECT_BYTES,
  type Objects,
} from '../replication/object-io.js';
import { type Catalog, type ImageView, put } from './catalog.js';
import { gone, VdiError } from './errors.js';
import { chainOf, nextVersion, pushLayer, setLimit, topOf } from './family.js';
import { RangeLock } from './range-lock.js';
import { compareTimes, type FamilyRecord, KEY, VDI_BYTES_MAX, type VdiRecord } from './records.js';

/** The bound on the size is raised by an eighth of the image, at least this much. */
const BOUND_STEP_MIN = 64 * 1024 * 1024;
/** A modification time that is this much newer than the stored one is stored at the next fsync. */
const MTIME_LAG_MS = 1000;
/** Handles that are not the kernel's never die. */
const NO_HANDLE = Number.POSITIVE_INFINITY;
/** How often the holder of the role is asked for the size before the role is taken from it. */
const ASKED_MAX = 5;

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

export interface VdiContext {
  readonly catalog: Catalog;
  readonly objects: Objects;
  /** Hears of each change that the image makes to its family. */
  onFamily(family: FamilyRecord): void;
}

/**
 * One image as this host has it: cuts reads and writes into objects, keeps its size while this host has the writer role,
 * and orders what must be ordered. There is one instance an image and process.
 *
 * The size and modification time of an image that is written run ahead of its stored record, in which `bound` is always at
 * least the size: a later holder of the role finds the true size from the objects below it. Hosts that do not hold the
 * role ask the one that does while the record may lag.
 *
 * `opened` is the generation that the image had when the handle was opened; see ImageObjects.
 */
export class Vdi implements ImageOptions {
  readonly vdi: number;
  readonly copies: number;
  readonly objects: ImageObjects;
  readonly #context: VdiContext;
  readonly #ranges = new RangeLock();
  #view: ImageView;
  #chain: Chain;
  /** The next reading of the view, which has not begun; and the one that is under way. */
  #refreshing: Promise<void> | null = null;
  #reading: Promise<void> = Promise.resolve();
  /** Of the image while this host holds the role. */
  #size: number;
  /** How far changes reach that were begun. */
  #reach: number;
  #mtime: Timestamp;
  /** When its data was last changed by this process: its ctime, unless that is later. */
  #changed: Timestamp = { seconds: 0, nanoseconds: 0 };
  /**
   * Whether the cut that the stored record tells of has been made, and is durable: a power cut would else bring back what
   * was cut off, with nobody who knows. The next change of the record takes the mark away; until then it is harmless,
   * since `bound` is the size: nothing can lie beyond it that another cut would lose.
   */
  #cutMade = false;
  #isRemoved = false;
  /** Times that this process has changed the stored record. */
  #stores = 0;
  /** Serialises changes of size, bound and layers. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(view: ImageView, context: VdiContext) {
    const { record, family } = view;
    this.vdi = record.id;
    this.copies = family.copies;
    this.#view = view;
    this.#chain = chainOf(family, record.id);
    this.#size = record.size;
    this.#reach = record.size;
    this.#mtime = record.mtime;
    this.#context = context;
    this.objects = context.objects.image(this);
  }

  get id(): number {
    return this.vdi;
  }

  /** A snapshot is never written. */
  get isSnapshot(): boolean {
    return this.#view.record.snapshotOf !== undefined;
  }

  get #holds(): boolean {
    return this.objects.held !== null;
  }

  /** The record, with what only the holder of the role knows where that is this host; elsewhere that may lag: see `current`. */
  get record(): VdiRecord {
    const { record } = this.#view;
    if (!this.#holds) return record;
    return { ...record, size: this.#size, mtime: this.#mtime, ctime: this.#ctimeOver(record) };
  }

  /** As `record`. */
  get size(): number {
    return this.#holds ? this.#size : this.#view.record.size;
  }

  chain(): Chain {
    return this.#chain;
  }

  generation(): number {
    return this.#view.writer.generation;
  }

  attributes(): ImageAttributes {
    return { size: this.#size, mtime: this.#mtime };
  }

  /** The record as it is now, on whatever host it is being changed. Throws VdiError ESTALE. */
  async current(): Promise<VdiRecord> {
    for (let attempt = 0; ; attempt++) {
      if (this.#holds) return this.record;
      await this.refresh();
      const { record, writer } = this.#view;
      if (record.bound === record.size && !record.cutting) return record;
      const { holder, generation } = writer;
      const asked = holder && attempt < ASKED_MAX ? await this.objects.ask(holder.host, generation) : null;
      if (asked) return { ...record, ...asked };
      await this.objects.settle();
    }
  }

  refresh(): Promise<void> {
    this.#refreshing ??= this.#reading
      .catch(() => undefined)
      .then(() => {
        this.#refreshing = null;
        this.#reading = this.#read();
        return this.#reading;
      });
    return this.#refreshing;
  }

  async #read(): Promise<void> {
    if (this.#isRemoved) return;
    const stores = this.#stores;
    const view = await this.#context.catalog.view(this.vdi, this.#view.record.family);
    // What was stored meanwhile may be later than what was read.
    if (stores !== this.#stores) return this.#read();
    if (this.#isRemoved) return;
    this.#view = view;
    this.#chain = chainOf(view.family, this.vdi);
    this.#cutMade &&= view.record.cutting === true;
  }

  /** See ImageOptions: finishes a cut that an earlier holder had begun, and finds the size that it had reached. */
  async acquired(role: NewRole): Promise<void> {
    // It was taken once more only for all hosts to hear that the image is gone.
    if (this.#isRemoved) return;
    const { cutting, size: stored, bound } = this.#view.record;
    let size = stored;
    if (cutting) {
      if (!(await role.truncate(stored))) return;
      this.#cutMade = true;
    } else if (bound > stored) {
      if (!(await role.equalized())) return;
      const end = await role.end(bound);
      if (end === null) return;
      size = Math.max(stored, Math.min(bound, end));
    }
    this.#size = size;
    this.#reach = size;
    this.#mtime = this.#view.record.mtime;
    if (cutting || bound > size) await this.#storeHeld(role.generation, (record) => ({ ...record, size, bound: size }));
  }

  /** See ImageOptions. */
  reaches(end: number): Promise<void> | null {
    if (end > this.#view.record.bound) return this.#raiseBound(end);
    if (end > this.#reach) this.#reach = end;
    return null;
  }

  /** See ImageOptions: the size as it is, so that nobody has to find it. */
  async settled(): Promise<{ compare: Compare[]; success: Operation[] }> {
    const stored = await this.#context.catalog.vdi(this.vdi);
    if (!stored) return { compare: [], success: [] };
    const record = this.#settled(this.#withoutCut(stored.record), this.#reach, this.#reach);
    return {
      compare: [{ key: KEY.vdi(this.vdi), modRevision: stored.revision }],
      success: [put(KEY.vdi(this.vdi), record)],
    };
  }

  /** Forgets the image on this host. */
  close(): void {
    this.objects.close();
  }

  /** Reads into `target` and answers how many bytes lie below the end of the image. */
  read(offset: number, target: Buffer, opened = NO_HANDLE): Promise<number> {
    const end = offset + target.length;
    if (!this.#holds || end > this.#size) return this.#readCurrent(offset, target, opened);
    return this.#readParts(offset, target, opened);
  }

  /** Where the size is not known, or may be another while the bytes are read. */
  async #readCurrent(offset: number, target: Buffer, opened: number): Promise<number> {
    for (;;) {
      const view = this.#view;
      const known = this.size;
      const size = offset + target.length <= known ? known : (await this.current()).size;
      const length = Math.min(target.length, size - offset);
      const whole = length === target.length ? target : target.subarray(0, Math.max(0, length));
      if (length > 0) await this.#readParts(offset, whole, opened);
      else if (!(await this.objects.isAlive(opened))) continue;
      // Another generation may have another size.
      if (view.writer.generation === this.#view.writer.generation || this.#holds) return Math.max(0, length);
    }
  }

  #readParts(offset: number, target: Buffer, opened: number): Promise<number> {
    const { length } = target;
    const index = Math.floor(offset / OBJECT_BYTES);
    const start = offset - index * OBJECT_BYTES;
    if (start + length > OBJECT_BYTES) return this.#readAcross(offset, target, opened);
    return this.objects.read(index, start, target, opened).then(() => {
      this.#checkThere();
      return length;
    });
  }

  async #readAcross(offset: number, target: Buffer, opened: number): Promise<number> {
    const parts = [];
    for (const part of objectRanges(offset, target.length)) {
      const into = target.subarray(part.position, part.position + part.length);
      parts.push(this.objects.read(part.index, part.offset, into, opened));
    }
    await Promise.all(parts);
    this.#checkThere();
    return target.length;
  }

  /** What was read while the image was being removed may be of layers that are gone. Throws VdiError ESTALE. */
  #checkThere(): void {
    if (this.#isRemoved) throw gone(this.vdi);
  }

  /** Writes `data`, which stays the callee's until this resolves. Throws EFBIG, ENOSPC, FencedError. */
  async write(offset: number, data: Buffer, opened = NO_HANDLE): Promise<number> {
    const end = offset + data.length;
    if (end > VDI_BYTES_MAX) throw new VdiError('EFBIG', 'a write beyond the greatest size of an image');
    const range = this.#ranges.tryTake(offset, end) ?? (await this.#ranges.wait(offset, end));
    try {
      const index = Math.floor(offset / OBJECT_BYTES);
      const start = offset - index * OBJECT_BYTES;
      if (start + data.length <= OBJECT_BYTES) await this.objects.write(index, start, data, opened);
      else await this.#writeAcross(offset, data, opened);
      // Where that is heard late, what holds now was found by a later role: another host may have cut the image.
      if (end > this.#size && end <= this.#reach) this.#size = end;
      this.#dataChanged();
    } finally {
      this.#ranges.release(range);
    }
    return data.length;
  }

  async #writeAcross(offset: number, data: Buffer, opened: number): Promise<void> {
    const parts = [];
    for (const part of objectRanges(offset, data.length)) {
      const from = data.subarray(part.position, part.position + part.length);
      parts.push(this.objects.write(part.index, part.offset, from, opened));
    }
    // Every part must have ended before the buffer and the range are let go, whichever failed.
    const failed = (await Promise.allSettled(parts)).find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /** Makes a range read as zeros and gives its space back. What lies beyond the end of the image is left out. */
  async discard(offset: number, length: number, opened = NO_HANDLE): Promise<void> {
    const range = await this.#ranges.take(offset, offset + length);
    try {
      if (!this.#holds) await this.objects.hold(opened);
      const end = Math.min(offset + length, this.#size);
      if (end <= offset) {
        while (!(await this.objects.isAlive(opened)));
        return;
      }
      // The size is found from the highest object: it must be stored before that one can go.
      if (this.#view.record.size < this.#size && end >= this.#size) await this.#settleSize();
      for (const part of objectRanges(offset, end - offset)) {
        await this.objects.discard(part.index, part.offset, part.length, opened);
      }
      this.#dataChanged();
    } finally {
      this.#ranges.release(range);
    }
  }

  /** Gives a range all its blocks, so that writing there cannot run out of space; grows the image unless `keepSize`. */
  async allocate(offset: number, length: number, keepSize: boolean, opened = NO_HANDLE): Promise<void> {
    const end = offset + length;
    if (end > VDI_BYTES_MAX) throw new VdiError('EFBIG', 'beyond the greatest size of an image');
    if (!keepSize) await this.grow(end, opened);
    else if (!this.#holds) await this.objects.hold(opened);
    const stop = Math.min(end, this.#size);
    for (const { index } of objectRanges(offset, Math.max(0, stop - offset))) {
      const range = await this.#ranges.take(index * OBJECT_BYTES, (index + 1) * OBJECT_BYTES);
      try {
        const reach = () => Math.min(OBJECT_BYTES, Math.max(0, this.#size - index * OBJECT_BYTES));
        await this.objects.allocate(index, reach, opened);
      } finally {
        this.#ranges.release(range);
      }
    }
  }

  /**
   * The first offset at or after `offset` that is data (SEEK_DATA) or a hole (SEEK_HOLE; the end of the image counts
   * as one). Null where there is none, which lseek(2) answers as ENXIO.
   */
  async seek(offset: number, whence: number, opened = NO_HANDLE): Promise<number | null> {
    let { size } = await this.current();
    while (!(await this.objects.isAlive(opened))) size = (await this.current()).size;
    if (offset >= size) return null;
    return whence === SEEK_DATA ? this.#seekData(offset, size, opened) : this.#seekHole(offset, size, opened);
  }

  async #seekData(offset: number, size: number, opened: number): Promise<number | null> {
    const last = Math.ceil(size / OBJECT_BYTES);
    let index = Math.floor(offset / OBJECT_BYTES);
    let start = offset - index * OBJECT_BYTES;
    for (;;) {
      const next = await this.objects.next(index, last);
      if (next === null) return null;
      if (next > index) start = 0;
      index = next;
      const found = await this.objects.seek(index, start, true, opened);
      if (found !== null) {
        const position = index * OBJECT_BYTES + found;
        return position < size ? position : null;
      }
      index++;
      start = 0;
    }
  }

  async #seekHole(offset: number, size: number, opened: number): Promise<number> {
    let index = Math.floor(offset / OBJECT_BYTES);
    let start = offset - index * OBJECT_BYTES;
    for (; index * OBJECT_BYTES < size; index++, start = 0) {
      const found = await this.objects.seek(index, start, false, opened);
      if (found !== null) return Math.min(size, index * OBJECT_BYTES + found);
    }
    return size;
  }

  /** Everything written before the call survives a power cut when it resolves; times too unless `dataOnly`. */
  async flush(dataOnly: boolean, opened = NO_HANDLE): Promise<void> {
    await this.objects.flush(opened);
    // The size needs no storing: after a power cut it is found from what the flush has made durable.
    const lag = (this.#mtime.seconds - this.#view.record.mtime.seconds) * 1000;
    if (!dataOnly && this.#holds && lag >= MTIME_LAG_MS) await this.#settleSize();
  }

  /** Stores the size and time as they are where this host has them: after the last close, nothing has to be found out. */
  async settle(): Promise<void> {
    if (!this.#holds) return;
    const { size, bound, mtime, cutting } = this.#view.record;
    if (size === this.#size && bound === size && !cutting && compareTimes(mtime, this.#mtime) === 0) return;
    await this.#frozen(() => this.#storeIfHeld((stored) => this.#settled(stored, this.#size, this.#size)));
  }

  /** Sets the size; what is cut off is gone, what is added reads as zeros. Throws EFBIG, FencedError. */
  async resize(size: number, opened = NO_HANDLE): Promise<void> {
    if (size > VDI_BYTES_MAX) throw new VdiError('EFBIG', 'beyond the greatest size of an image');
    await this.#frozen(async () => {
      await this.#resize(size, opened);
    });
  }

  async #resize(size: number, opened: number): Promise<void> {
    for (;;) {
      await this.objects.hold(opened);
      if (size < this.#size) {
        await this.#shrink(size, opened);
        return;
      }
      if (await this.#storeGrown(size)) return;
    }
  }

  /** Makes the image at least as long as `size`, whatever else makes it longer meanwhile. Throws EFBIG, FencedError. */
  async grow(size: number, opened = NO_HANDLE): Promise<void> {
    if (size > VDI_BYTES_MAX) throw new VdiError('EFBIG', 'beyond the greatest size of an image');
    if (this.#holds && size <= this.#size) return;
    await this.#frozen(async () => {
      for (;;) {
        await this.objects.hold(opened);
        if (size <= this.#size || (await this.#storeGrown(size))) return;
      }
    });
  }

  /** False where the role was lost. */
  async #storeGrown(size: number): Promise<boolean> {
    const time = this.#context.catalog.now();
    const bound = Math.max(size, this.#view.record.bound);
    const isStored = await this.#storeIfHeld((record) => ({ ...record, size, bound, mtime: time, ctime: time }));
    if (!isStored) return false;
    this.#size = size;
    this.#reach = size;
    this.#mtime = time;
    return true;
  }

  /**
   * One transaction marks the cut and lowers the top layer's limit: growing again never shows what lay below. Where that
   * layer is being merged with the one below, which copies do each by itself, it has to stay as it is: then the image goes
   * on in a new one, and there is nothing to cut.
   */
  async #shrink(size: number, opened: number): Promise<void> {
    const { catalog, objects } = this.#context;
    const time = catalog.now();
    const family = await objects.step([this.objects], opened, async ([step]) => {
      const [vdi, found] = await this.#storedWithFamily();
      if (vdi.record.cutting && vdi.record.size === size) return { stored: false, result: found.record };
      const top = topOf(found.record, this.vdi);
      const limit = Math.min(size, found.record.layers[top]!.limit);
      const isMerging = found.record.merging.some(({ child }) => child === top);
      const changed = nextVersion(
        isMerging ? pushLayer(found.record, this.vdi, top, size) : setLimit(found.record, top, limit),
      );
      const { cutting: _cutting, ...kept } = vdi.record;
      const record = { ...kept, size, bound: size, mtime: time, ctime: time, ...(!isMerging && { cutting: true }) };
      const isStored = await catalog.attempt({
        compare: [
          step!.compare,
          { key: KEY.vdi(this.vdi), modRevision: vdi.revision },
          { key: KEY.family(changed.id), modRevision: found.revision },
        ],
        success: [step!.put, put(KEY.vdi(this.vdi), record), put(KEY.family(changed.id), changed)],
      });
      return isStored ? { stored: true, result: changed } : 'again';
    });
    this.#context.onFamily(family);
    // An earlier cut may have been made whose mark was still stored.
    this.#cutMade = false;
    this.stepped();
    await this.#finishCut();
  }

  async #storedWithFamily() {
    const { catalog } = this.#context;
    const vdi = await catalog.vdi(this.vdi);
    const family = vdi && (await catalog.family(vdi.record.family));
    if (!vdi || !family) throw gone(this.vdi);
    return [vdi, family] as const;
  }

  /** Nothing may be stored of a greater size while there is a cut to be made, by this process or an earlier one. */
  async #finishCut(): Promise<void> {
    const { cutting, size } = this.#view.record;
    if (!cutting || this.#cutMade) return;
    await this.objects.truncate(size);
    this.#cutMade = true;
  }

  /**
   * Changes owner, mode, times or extended attributes; the answer is the record as it then is. With `setsMtime`, the holder
   * of the role has to know of it, as it goes by its own modification time: this host becomes that.
   */
  async setAttributes(change: (record: VdiRecord) => VdiRecord, setsMtime = false): Promise<VdiRecord> {
    return this.#alone(async () => {
      if (setsMtime && !this.#holds && this.#view.writer.holder) await this.objects.settle();
      let before = this.#mtime;
      const { catalog } = this.#context;
      const record = await catalog.update(this.vdi, (stored) => {
        const { size, bound, cutting } = stored;
        before = this.#holds ? this.#mtime : stored.mtime;
        const ctime = this.#holds ? this.#ctimeOver(stored) : stored.ctime;
        return { ...change({ ...stored, mtime: before, ctime }), size, bound, ...(cutting && { cutting }) };
      });
      // Unless it was set, a write that came meanwhile has the later one.
      if (compareTimes(record.mtime, before) !== 0) this.#mtime = record.mtime;
      // By the time that this is heard, the size and bound that it tells may be those of an earlier role.
      await this.refresh();
      return this.record;
    });
  }

  /** Takes over what was stored of the image by somebody else (a rename, an unlink). */
  async reload(): Promise<void> {
    await this.#alone(() => this.refresh());
  }

  /**
   * Runs `work` with no write of this host in flight, for a step that gives the image another chain of layers; `stepped`
   * is to be called before it ends.
   */
  frozen<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#frozen(async () => {
      await this.objects.hold(NO_HANDLE);
      await this.#finishCut();
      return work();
    });
  }

  /** What a step's transaction stores of an image whose size is not to be found from its objects any more. */
  settledRecord(stored: VdiRecord): VdiRecord {
    return this.#settled(this.#withoutCut(stored), this.#size, this.#size);
  }

  /** A step has changed the stored record, which is what holds now. */
  stepped(): void {
    const { size, mtime } = this.#view.record;
    this.#size = size;
    this.#reach = size;
    if (compareTimes(mtime, this.#mtime) > 0) this.#mtime = mtime;
  }

  /** The image is being removed: nothing of it is stored from the step's transaction on. */
  removed(generation: number): void {
    this.#isRemoved = true;
    this.#view = { ...this.#view, writer: { ...this.#view.writer, generation } };
  }

  async #raiseBound(end: number): Promise<void> {
    await this.#alone(async () => {
      if (end <= this.#view.record.bound) return;
      const bound = roundUp(end + Math.max(BOUND_STEP_MIN, Math.floor(end / 8)));
      await this.#storeIfHeld((record) => ({ ...record, bound: Math.max(record.bound, bound) }));
    });
  }

  async #settleSize(): Promise<void> {
    await this.#alone(() =>
      this.#storeIfHeld((stored) => this.#settled(stored, this.#size, Math.max(stored.bound, this.#size))),
    );
  }

  #settled(stored: VdiRecord, size: number, bound: number): VdiRecord {
    return { ...stored, size, bound, mtime: this.#mtime, ctime: this.#ctimeOver(stored) };
  }

  #dataChanged(): void {
    this.#mtime = this.#context.catalog.now();
    this.#changed = this.#mtime;
  }

  #ctimeOver(stored: VdiRecord): Timestamp {
    return compareTimes(stored.ctime, this.#changed) < 0 ? this.#changed : stored.ctime;
  }

  #withoutCut(record: VdiRecord): VdiRecord {
    const { cutting: _made, ...rest } = record;
    return this.#cutMade ? rest : record;
  }

  /** False where this host does not hold the role any more, and nothing was stored. */
  async #storeIfHeld(change: (record: VdiRecord) => VdiRecord): Promise<boolean> {
    const { held } = this.objects;
    if (held === null) return false;
    await this.#finishCut();
    return this.#storeHeld(held, change);
  }

  async #storeHeld(generation: number, change: (record: VdiRecord) => VdiRecord): Promise<boolean> {
    const { catalog } = this.#context;
    const record = await catalog.updateHeld(this.vdi, generation, (stored) => change(this.#withoutCut(stored)));
    if (!record) {
      await this.objects.recheck();
      return false;
    }
    // The answer was long under way: under a later generation the record may have been stored anew.
    if (generation !== this.#view.writer.generation) return false;
    this.#stored(record);
    if (!record.cutting) this.#cutMade = false;
    return true;
  }

  #stored(record: VdiRecord): void {
    this.#stores++;
    this.#view = { ...this.#view, record };
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
