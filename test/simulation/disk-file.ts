import type { Random } from '../helpers/random.js';

export const PAGE_BYTES = 4096;
export const SECTOR_BYTES = 512;

/** Pages cut from one piece of memory: making one of its own for each takes longer than a write to it. */
const SLAB_PAGES = 64;
let slab = Buffer.alloc(0);
let slabUsed = 0;

function newPage(): Buffer {
  if (slabUsed === slab.length) {
    slab = Buffer.allocUnsafeSlow(SLAB_PAGES * PAGE_BYTES);
    slabUsed = 0;
  }
  slabUsed += PAGE_BYTES;
  return slab.subarray(slabUsed - PAGE_BYTES, slabUsed);
}

/** Stands for every page that was written whole with zeros; never changed in place. */
const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

function isZeroPage(source: Buffer, at: number): boolean {
  return source[at] === 0 && source.compare(ZERO_PAGE, 0, PAGE_BYTES, at, at + PAGE_BYTES) === 0;
}

/** Pages that the files of a device have. */
export interface PageAccount {
  pages: number;
}

type Pages = ReadonlyMap<number, Buffer>;

/** What a sync found to be written when it began. */
export interface FileSync {
  readonly number: number;
  readonly pages: [index: number, page: Buffer | undefined][];
  readonly size: number;
}

/**
 * A file of a simulated device: its bytes as they are read, and as a power cut leaves them. A page that is on disk, or
 * shared with a clone or a copy of the device, is never changed in place: who writes to it gets its own first.
 */
export class SimulatedFile {
  readonly kind = 'file';
  readonly inode: number;
  readonly #account: PageAccount;
  size = 0;
  /** Names and descriptors that the file has; with neither, its pages are free. */
  names = 0;
  opens = 0;
  /** Whoever has the lock. */
  locked: object | null = null;
  #current: Pages = new Map<number, Buffer>();
  #durable: Pages = new Map<number, Buffer>();
  /** Whether it has the list of pages for itself: one that it shares is never changed. */
  #hasOwnCurrent = true;
  #hasOwnDurable = true;
  #durableSize = 0;
  /** Pages that may be changed in place. */
  readonly #own = new Set<number>();
  /** Pages that may differ from what is on disk. */
  readonly #dirty = new Set<number>();
  #syncsBegun = 0;
  #syncsDone = 0;

  constructor(inode: number, account: PageAccount) {
    this.inode = inode;
    this.#account = account;
  }

  get pages(): number {
    return this.#current.size;
  }

  /** Answers the bytes read, fewer than `length` only at the end. */
  read(target: Buffer, offset: number, length: number, position: number): number {
    const end = position + Math.min(length, this.size - position);
    let to = offset;
    // Bytes up to `to` that are zeros, and not in the target yet: most of a large read is holes.
    let zeros = 0;
    for (let at = position; at < end; ) {
      const start = at % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - start, end - at);
      const page = this.#current.get((at - start) / PAGE_BYTES);
      if (page === undefined || page === ZERO_PAGE) {
        zeros += count;
      } else {
        if (zeros > 0) target.fill(0, to - zeros, to);
        zeros = 0;
        page.copy(target, to, start, start + count);
      }
      at += count;
      to += count;
    }
    if (zeros > 0) target.fill(0, to - zeros, to);
    return to - offset;
  }

  /** Writes as much as `pagesMax` new pages allow; answers the bytes written. */
  write(source: Buffer, offset: number, length: number, position: number, pagesMax: number): number {
    const end = position + length;
    let from = offset;
    let left = pagesMax;
    let at = position;
    while (at < end) {
      const start = at % PAGE_BYTES;
      const index = (at - start) / PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - start, end - at);
      if (!this.#current.has(index) && left-- <= 0) break;
      if (count === PAGE_BYTES && isZeroPage(source, from)) this.#setZeros(index);
      else source.copy(this.#writable(index, count === PAGE_BYTES), start, from, from + count);
      at += count;
      from += count;
    }
    if (from > offset && at > this.size) this.size = at;
    return from - offset;
  }

  truncate(size: number): void {
    if (size < this.size) {
      this.#zeroTail(size);
      const first = Math.ceil(size / PAGE_BYTES);
      for (const index of [...this.#current.keys()]) if (index >= first) this.#drop(index);
    }
    this.size = size;
  }

  /** Zeros in place of the range, and no pages where a whole one goes. The size stays. */
  punch(offset: number, length: number): void {
    const end = offset + length;
    for (let at = offset; at < end; ) {
      const start = at % PAGE_BYTES;
      const index = (at - start) / PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - start, end - at);
      at += count;
      if (!this.#current.has(index)) continue;
      if (count === PAGE_BYTES) this.#drop(index);
      else this.#writable(index, false).fill(0, start, start + count);
    }
  }

  /** Shows from now on what `source` does, and shares its pages. */
  cloneFrom(source: SimulatedFile): void {
    for (const index of [...this.#current.keys()]) this.#drop(index);
    source.#own.clear();
    const current = this.#changingCurrent();
    for (const [index, page] of source.#current) {
      current.set(index, page);
      this.#dirty.add(index);
      this.#account.pages++;
    }
    this.size = source.size;
  }

  beginSync(): FileSync {
    this.#own.clear();
    const pages: FileSync['pages'] = [];
    for (const index of this.#dirty) pages.push([index, this.#current.get(index)]);
    return { number: ++this.#syncsBegun, pages, size: this.size };
  }

  /** What was written when the sync began is on disk; what came later may not be. */
  finishSync(sync: FileSync): void {
    // One that began later has found the same or newer.
    if (sync.number < this.#syncsDone) return;
    this.#syncsDone = sync.number;
    for (const [index, page] of sync.pages) {
      const durable = this.#changingDurable();
      if (page === undefined) durable.delete(index);
      else durable.set(index, page);
      if (this.#current.get(index) === page) this.#dirty.delete(index);
    }
    const shrunk = sync.size < this.#durableSize;
    this.#durableSize = sync.size;
    if (shrunk) this.#trimDurable();
  }

  /** As Linux does: the pages are taken for clean, are read as they were written, and never come to disk. */
  failSync(sync: FileSync): void {
    for (const [index, page] of sync.pages) if (this.#current.get(index) === page) this.#dirty.delete(index);
  }

  /** Each unsynced sector comes to disk with this probability, as the kernel writes some back before it is asked to. */
  writeBack(random: Random, probability: number): void {
    for (const index of [...this.#dirty]) {
      const page = this.#current.get(index);
      const before = this.#durable.get(index);
      const mixed = newPage();
      if (before === undefined) mixed.fill(0);
      else before.copy(mixed);
      for (let at = 0; at < PAGE_BYTES; at += SECTOR_BYTES) {
        if (!random.chance(probability)) continue;
        if (page === undefined) mixed.fill(0, at, at + SECTOR_BYTES);
        else page.copy(mixed, at, at, at + SECTOR_BYTES);
      }
      this.#changingDurable().set(index, mixed);
    }
  }

  /** What was not synced is kept, or lost, or some sectors of it are. The device counts its pages anew. */
  powerCut(random: Random): void {
    const kept = random.below(3);
    if (kept === 0) this.writeBack(random, random.next());
    else if (kept === 1) this.finishSync(this.beginSync());
    if (kept !== 1 && this.size !== this.#durableSize) this.#durableSize = this.#sizeLeft(random);
    this.#trimDurable();
    this.#shareDurable();
    this.size = this.#durableSize;
    this.#own.clear();
    this.#dirty.clear();
    this.locked = null;
    this.opens = 0;
    this.names = 1;
  }

  /** A file with the same content, all of it on disk. */
  copy(account: PageAccount): SimulatedFile {
    this.#own.clear();
    const copy = new SimulatedFile(this.inode, account);
    this.#hasOwnCurrent = false;
    copy.#durable = this.#current;
    copy.#shareDurable();
    copy.size = this.size;
    copy.#durableSize = this.size;
    copy.names = this.names;
    account.pages += copy.pages;
    return copy;
  }

  #sizeLeft(random: Random): number {
    const [before, after] = [this.#durableSize, this.size];
    const choice = random.below(3);
    if (choice === 0) return before;
    if (choice === 1 || after < before) return after;
    // Some of what was appended; the last sector of that is whole.
    const size = before + random.below(after - before);
    return Math.min(after, Math.ceil(size / SECTOR_BYTES) * SECTOR_BYTES);
  }

  /** There is nothing on disk behind the file's end. */
  #trimDurable(): void {
    const size = this.#durableSize;
    const last = Math.floor(size / PAGE_BYTES);
    const tail = size % PAGE_BYTES;
    const page = tail === 0 ? undefined : this.#durable.get(last);
    if (page !== undefined && !isZero(page, tail)) this.#changingDurable().set(last, zeroedFrom(page, tail));
    const behind = [...this.#durable.keys()].filter((index) => index > last || (index === last && tail === 0));
    if (behind.length === 0) return;
    const durable = this.#changingDurable();
    for (const index of behind) durable.delete(index);
  }

  /** What is read is what is on disk. */
  #shareDurable(): void {
    this.#current = this.#durable;
    this.#hasOwnCurrent = false;
    this.#hasOwnDurable = false;
  }

  #changingCurrent(): Map<number, Buffer> {
    if (!this.#hasOwnCurrent) this.#current = new Map(this.#current);
    this.#hasOwnCurrent = true;
    return this.#current as Map<number, Buffer>;
  }

  #changingDurable(): Map<number, Buffer> {
    if (!this.#hasOwnDurable) this.#durable = new Map(this.#durable);
    this.#hasOwnDurable = true;
    return this.#durable as Map<number, Buffer>;
  }

  #zeroTail(size: number): void {
    const tail = size % PAGE_BYTES;
    const index = (size - tail) / PAGE_BYTES;
    if (tail > 0 && this.#current.has(index)) this.#writable(index, false).fill(0, tail);
  }

  #drop(index: number): void {
    this.#changingCurrent().delete(index);
    this.#own.delete(index);
    this.#dirty.add(index);
    this.#account.pages--;
  }

  #setZeros(index: number): void {
    if (!this.#current.has(index)) this.#account.pages++;
    this.#changingCurrent().set(index, ZERO_PAGE);
    this.#own.delete(index);
    this.#dirty.add(index);
  }

  /** A page that may be written to; `whole` where all of it will be. */
  #writable(index: number, whole: boolean): Buffer {
    const page = this.#current.get(index);
    if (page !== undefined && this.#own.has(index)) return page;
    const own = newPage();
    if (page === undefined) {
      this.#account.pages++;
      if (!whole) own.fill(0);
    } else if (!whole) {
      page.copy(own);
    }
    this.#changingCurrent().set(index, own);
    this.#own.add(index);
    this.#dirty.add(index);
    return own;
  }
}

function isZero(page: Buffer, from: number): boolean {
  return page.compare(ZERO_PAGE, from, PAGE_BYTES, from, PAGE_BYTES) === 0;
}

function zeroedFrom(page: Buffer, from: number): Buffer {
  const copy = newPage();
  page.copy(copy);
  copy.fill(0, from);
  return copy;
}
