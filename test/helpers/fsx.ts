/**
 * Random operations on one file against a model of it in memory, all from a seed, in the manner of fsx. What the file
 * answers is compared at every read, and the whole of it now and then.
 */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import type { Features } from '../posix/features.js';
import { FileModel } from './fsx-model.js';
import { Random } from './random.js';
import { decode, encode, syscalls } from './syscalls.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const OBJECT_BYTES = 4 * MIB;
const SECTOR_BYTES = 512;
const PAGE_BYTES = 4 * KIB;
const IO_BYTES_MAX = MIB;
/** The file that ranges are copied from. */
const SOURCE_BYTES = 2 * OBJECT_BYTES + 12_345;
/** Operations between two comparisons of the whole file, and between two breaths of the event loop. */
const VERIFY_INTERVAL = 20_000;
const BREATH_INTERVAL = 500;
const LOG_MAX = 40;

const KEEP_SIZE = 0x01;
const PUNCH_HOLE = 0x02;
const ZERO_RANGE = 0x10;
const { O_RDWR, O_CREAT, O_DIRECT, O_EXCL } = constants;

export interface FsxOptions {
  /** The file, which stays. One beside it, with `.source` at its end, comes and goes. */
  path: string;
  seed: number;
  /** How many operations. */
  operations: number;
  /** Bytes that the file never grows beyond. */
  sizeMax?: number;
  /** What the file holds already, at most sizeMax bytes. It must not exist unless this is given. */
  content?: Uint8Array;
  features: Features;
}

export interface FsxResult {
  operations: number;
  /** Of every kind of operation, how many. */
  counts: Record<string, number>;
  elapsedMs: number;
  /** What the file holds in the end. */
  content: Buffer;
}

/** The file does not hold what was written to it. The message names the seed and the last operations. */
export class FsxError extends Error {
  readonly code = 'FSX_MISMATCH';
}

/** @throws FsxError, or what a system call failed with, with the seed and the last operations in its message. */
export async function runFsx(options: FsxOptions): Promise<FsxResult> {
  const fsx = new Fsx(options);
  try {
    return await fsx.run();
  } finally {
    await fsx.close();
  }
}

/** Puts `weight` in a hundred thousand; what the file system cannot do is not drawn. */
interface Action {
  name: string;
  weight: number;
  act: () => void | Promise<void>;
}

class Fsx {
  readonly #options: FsxOptions;
  readonly #random: Random;
  readonly #model: FileModel;
  readonly #sizeMax: number;
  readonly #actions: Action[];
  readonly #log: string[] = [];
  readonly #counts: Record<string, number> = {};
  /** Random bytes that writes take pieces of. */
  readonly #pool = Buffer.alloc(IO_BYTES_MAX + PAGE_BYTES);
  readonly #buffer = Buffer.alloc(IO_BYTES_MAX);
  readonly #source = new FileModel(SOURCE_BYTES);
  /** Memory that O_DIRECT accepts. */
  #aligned: Buffer = Buffer.alloc(0);
  #fd = -1;
  #direct = -1;
  /** Descriptors of the other process: the file, and the one to copy from. */
  #elsewhere = -1;
  #sourceElsewhere = -1;
  #index = 0;

  constructor(options: FsxOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#sizeMax = options.sizeMax ?? 20 * MIB;
    this.#model = new FileModel(this.#sizeMax);
    this.#random.fill(this.#pool);
    this.#actions = this.#possible();
  }

  async run(): Promise<FsxResult> {
    const { operations, path } = this.#options;
    const start = performance.now();
    if (this.#options.content) this.#model.write(0, this.#options.content);
    else closeSync(openSync(path, O_RDWR | O_CREAT | O_EXCL));
    await this.#makeSource();
    await this.#open();
    const total = this.#actions.reduce((sum, { weight }) => sum + weight, 0);
    for (this.#index = 0; this.#index < operations; this.#index++) {
      const { name, act } = this.#draw(total);
      this.#counts[name] = (this.#counts[name] ?? 0) + 1;
      await this.#guarded(name, act);
      if (this.#index % VERIFY_INTERVAL === VERIFY_INTERVAL - 1) await this.#guarded('verify', () => this.#verify());
    }
    await this.#guarded('reopen', () => this.#reopen());
    await this.#guarded('verify', () => this.#verify());
    const content = Buffer.from(this.#model.slice(0, this.#model.size));
    return { operations, counts: this.#counts, elapsedMs: performance.now() - start, content };
  }

  async close(): Promise<void> {
    for (const fd of [this.#fd, this.#direct]) if (fd >= 0) closeSync(fd);
    for (const fd of [this.#elsewhere, this.#sourceElsewhere]) if (fd >= 0) await syscalls().call('close', { fd });
    this.#fd = this.#direct = this.#elsewhere = this.#sourceElsewhere = -1;
  }

  #possible(): Action[] {
    const { features } = this.#options;
    const rare = (wanted: boolean, name: string, weight: number, act: () => Promise<void>): Action[] =>
      wanted ? [{ name, weight, act }] : [];
    return [
      { name: 'write', weight: 40_000, act: () => this.#write() },
      { name: 'read', weight: 40_000, act: () => this.#read() },
      { name: 'truncate', weight: 1_000, act: () => this.#truncate() },
      { name: 'direct write', weight: 5_000, act: () => this.#directWrite() },
      { name: 'direct read', weight: 5_000, act: () => this.#directRead() },
      { name: 'size', weight: 1_000, act: () => this.#checkSize() },
      { name: 'sync', weight: 50, act: () => this.#sync() },
      { name: 'reopen', weight: 50, act: () => this.#reopen() },
      ...rare(features.fallocate, 'punch', 1_500, () => this.#punch()),
      ...rare(features.fallocate, 'zero', 1_000, () => this.#zeroRange()),
      ...rare(features.fallocate, 'allocate', 300, () => this.#allocate()),
      ...rare(features.copyFileRange, 'copy within', 500, () => this.#copyWithin()),
      ...rare(features.copyFileRange, 'copy', 500, () => this.#copyIn()),
      ...rare(features.copyFileRange, 'clone', 10, () => this.#clone()),
      ...rare(features.mmap, 'map read', 200, () => this.#mapRead()),
      ...rare(features.mmap, 'map write', 100, () => this.#mapWrite()),
      ...rare(true, 'extents', 200, () => this.#checkExtents()),
    ];
  }

  #draw(total: number): Action {
    let ticket = this.#random.below(total);
    for (const action of this.#actions) {
      ticket -= action.weight;
      if (ticket < 0) return action;
    }
    return this.#actions[0]!;
  }

  async #guarded(name: string, act: () => void | Promise<void>): Promise<void> {
    try {
      const pending = act();
      if (pending) await pending;
      else if (this.#index % BREATH_INTERVAL === 0) await new Promise(setImmediate);
    } catch (error) {
      const { seed } = this.#options;
      const failure = new FsxError(
        `${name}: ${(error as Error).message}\nseed ${seed}, operation ${this.#index}, the last ones:\n${this.#log.join('\n')}`,
      );
      failure.cause = error;
      throw failure;
    }
  }

  // Ranges: anywhere, often around the boundaries of objects and the end of the file; mostly small.

  #length(): number {
    const kind = this.#random.next();
    if (kind < 0.7) return 1 + this.#random.below(8 * KIB);
    if (kind < 0.995) return 1 + this.#random.below(64 * KIB);
    return 1 + this.#random.below(IO_BYTES_MAX);
  }

  #offset(length: number, bound = this.#sizeMax): number {
    const kind = this.#random.next();
    let offset = this.#random.below(bound);
    if (kind < 0.2) {
      const boundary = this.#random.below(Math.floor(bound / OBJECT_BYTES) + 1) * OBJECT_BYTES;
      offset = boundary - length + this.#random.below(2 * length);
    } else if (kind < 0.3) {
      offset = this.#model.size - length + this.#random.below(2 * length);
    }
    return Math.max(0, Math.min(offset, bound - length));
  }

  #note(name: string, ...numbers: number[]): void {
    if (this.#log.length === LOG_MAX) this.#log.shift();
    this.#log.push(`${this.#index} ${name} ${numbers.join(' ')} (size ${this.#model.size})`);
  }

  #data(length: number): Buffer {
    const start = this.#random.below(this.#pool.length - length);
    return this.#pool.subarray(start, start + length);
  }

  #write(): void {
    const length = this.#length();
    const offset = this.#offset(length);
    this.#note('write', offset, length);
    const data = this.#data(length);
    for (let done = 0; done < length; ) done += writeSync(this.#fd, data, done, length - done, offset + done);
    this.#model.write(offset, data);
  }

  #read(): void {
    const length = this.#length();
    const offset = this.#offset(length);
    this.#note('read', offset, length);
    this.#compare(offset, this.#readInto(this.#fd, this.#buffer, offset, length), length);
  }

  #directWrite(): void {
    const [offset, length] = this.#sectors();
    this.#note('direct write', offset, length);
    const target = this.#aligned.subarray(0, length);
    this.#data(length).copy(target);
    for (let done = 0; done < length; ) done += writeSync(this.#direct, target, done, length - done, offset + done);
    this.#model.write(offset, target);
  }

  #directRead(): void {
    const [offset, length] = this.#sectors();
    this.#note('direct read', offset, length);
    this.#compare(offset, this.#readInto(this.#direct, this.#aligned.subarray(0, length), offset, length), length);
  }

  #truncate(): void {
    const size = this.#random.chance(0.1) ? this.#random.below(8 * KIB) : this.#offset(1);
    this.#note('truncate', size);
    ftruncateSync(this.#fd, size);
    this.#model.truncate(size);
    this.#checkSize();
  }

  #checkSize(): void {
    const { size } = fstatSync(this.#fd);
    if (size !== this.#model.size) throw new FsxError(`the size is ${size}, not ${this.#model.size}`);
  }

  #sync(): void {
    this.#note('sync');
    if (this.#random.chance(0.5)) fsyncSync(this.#fd);
    else fdatasyncSync(this.#fd);
  }

  async #reopen(): Promise<void> {
    this.#note('reopen');
    closeSync(this.#fd);
    closeSync(this.#direct);
    this.#fd = this.#direct = -1;
    await syscalls().call('close', { fd: this.#elsewhere });
    this.#elsewhere = -1;
    await this.#open();
  }

  async #punch(): Promise<void> {
    const [offset, length] = this.#hole();
    this.#note('punch', offset, length);
    await syscalls().call('fallocate', { fd: this.#elsewhere, mode: PUNCH_HOLE | KEEP_SIZE, offset, length });
    this.#model.zero(offset, length);
  }

  async #zeroRange(): Promise<void> {
    const [offset, length] = this.#hole();
    const keep = this.#random.chance(0.5);
    this.#note(keep ? 'zero, keep size' : 'zero', offset, length);
    const mode = ZERO_RANGE | (keep ? KEEP_SIZE : 0);
    await syscalls().call('fallocate', { fd: this.#elsewhere, mode, offset, length });
    this.#model.zero(offset, length);
    if (!keep) this.#model.grow(offset + length);
    this.#checkSize();
  }

  async #allocate(): Promise<void> {
    const [offset, length] = this.#hole();
    const keep = this.#random.chance(0.5);
    this.#note(keep ? 'allocate, keep size' : 'allocate', offset, length);
    await syscalls().call('fallocate', { fd: this.#elsewhere, mode: keep ? KEEP_SIZE : 0, offset, length });
    if (!keep) this.#model.grow(offset + length);
    this.#checkSize();
  }

  async #copyWithin(): Promise<void> {
    const length = Math.min(this.#length(), this.#model.size);
    const source = this.#random.below(this.#model.size - length + 1);
    const target = this.#offset(length);
    if (Math.abs(source - target) < length || length === 0) return;
    this.#note('copy within', source, target, length);
    await this.#copy(this.#elsewhere, source, target, length);
    this.#model.write(target, Buffer.from(this.#model.slice(source, length)));
  }

  async #copyIn(): Promise<void> {
    const whole = this.#random.chance(0.2);
    const length = whole ? OBJECT_BYTES : this.#length();
    const source = whole ? this.#random.below(2) * OBJECT_BYTES : this.#random.below(SOURCE_BYTES - length);
    const objects = Math.floor(this.#sizeMax / OBJECT_BYTES);
    if (whole && objects === 0) return;
    const target = whole ? this.#random.below(objects) * OBJECT_BYTES : this.#offset(length);
    this.#note('copy', source, target, length);
    await this.#copy(this.#sourceElsewhere, source, target, length);
    this.#model.write(target, this.#source.slice(source, length));
  }

  /** The whole source into the emptied file, in one request or in several that follow one another. */
  async #clone(): Promise<void> {
    if (this.#sizeMax < SOURCE_BYTES) return;
    const step = this.#random.chance(0.5) ? SOURCE_BYTES : OBJECT_BYTES / 2;
    this.#note('clone', step);
    ftruncateSync(this.#fd, 0);
    this.#model.truncate(0);
    for (let offset = 0; offset < SOURCE_BYTES; offset += step) {
      await this.#copy(this.#sourceElsewhere, offset, offset, Math.min(step, SOURCE_BYTES - offset));
    }
    this.#model.write(0, this.#source.bytes);
    this.#checkSize();
  }

  async #copy(source: number, sourceOffset: number, targetOffset: number, length: number): Promise<void> {
    for (let done = 0; done < length; ) {
      const count = await syscalls().call('copy_file_range', {
        source,
        sourceOffset: sourceOffset + done,
        target: this.#elsewhere,
        targetOffset: targetOffset + done,
        length: length - done,
      });
      if (count === 0) throw new FsxError(`copied ${done} of ${length} bytes`);
      done += count;
    }
  }

  async #mapRead(): Promise<void> {
    const { size } = this.#model;
    if (size === 0) return;
    const length = Math.min(this.#length(), size);
    const offset = this.#random.below(size - length + 1);
    this.#note('map read', offset, length);
    const map = await syscalls().call('mmap', { fd: this.#elsewhere, length: size });
    const bytes = decode(await syscalls().call('map_read', { map, offset, length }));
    await syscalls().call('munmap', { map });
    this.#compare(offset, bytes, length);
  }

  async #mapWrite(): Promise<void> {
    const { size } = this.#model;
    if (size === 0) return;
    const length = Math.min(this.#length(), size);
    const offset = this.#random.below(size - length + 1);
    this.#note('map write', offset, length);
    const data = this.#data(length);
    const map = await syscalls().call('mmap', { fd: this.#elsewhere, length: size });
    await syscalls().call('map_write', { map, offset, data: encode(data) });
    await syscalls().call('map_sync', { map });
    await syscalls().call('munmap', { map });
    this.#model.write(offset, data);
  }

  /** Every byte that is said to be in a hole must be zero, and so must all that lies between. */
  async #checkExtents(): Promise<void> {
    const { size } = this.#model;
    const from = this.#random.chance(0.5) ? 0 : this.#random.below(size + 1);
    this.#note('extents', from);
    let at = from;
    const extents = await syscalls().call('extents', { fd: this.#elsewhere, offset: from });
    for (const [start, end] of [...extents, [size, size] as const]) {
      if (start < at || end < start || end > size) throw new FsxError(`data from ${start} to ${end}, after ${at}`);
      if (!this.#model.isZero(at, start)) throw new FsxError(`a hole from ${at} to ${start}, which holds data`);
      at = end;
    }
  }

  #verify(): void {
    this.#checkSize();
    for (let offset = 0; offset < this.#model.size; offset += IO_BYTES_MAX) {
      this.#compare(offset, this.#readInto(this.#fd, this.#buffer, offset, IO_BYTES_MAX), IO_BYTES_MAX);
    }
  }

  #readInto(fd: number, buffer: Buffer, offset: number, length: number): Buffer {
    let done = 0;
    while (done < length) {
      const count = readSync(fd, buffer, done, length - done, offset + done);
      done += count;
      // A direct read that ends within a sector has met the end, and could not go on from there.
      if (count === 0 || (fd === this.#direct && count % SECTOR_BYTES !== 0)) break;
    }
    return buffer.subarray(0, done);
  }

  #compare(offset: number, actual: Buffer, length: number): void {
    const expected = this.#model.slice(offset, length);
    if (actual.equals(expected)) return;
    if (actual.length !== expected.length) {
      throw new FsxError(`${actual.length} bytes at ${offset}, not ${expected.length}`);
    }
    const wrong = actual.findIndex((byte, index) => byte !== expected[index]);
    throw new FsxError(`byte ${offset + wrong} is ${actual[wrong]}, not ${expected[wrong]}`);
  }

  #sectors(): [offset: number, length: number] {
    const length = Math.ceil(this.#length() / SECTOR_BYTES) * SECTOR_BYTES;
    const offset = Math.floor(this.#offset(length) / SECTOR_BYTES) * SECTOR_BYTES;
    return [offset, length];
  }

  /** Sometimes whole objects. */
  #hole(): [offset: number, length: number] {
    if (this.#random.chance(0.8)) {
      const length = this.#length();
      return [this.#offset(length), length];
    }
    const length = Math.min(this.#sizeMax, OBJECT_BYTES + this.#random.below(OBJECT_BYTES));
    return [Math.floor(this.#offset(length) / PAGE_BYTES) * PAGE_BYTES, length];
  }

  async #open(): Promise<void> {
    const { path } = this.#options;
    this.#fd = openSync(path, O_RDWR);
    this.#direct = openSync(path, O_RDWR | O_DIRECT);
    this.#elsewhere = await syscalls().call('open', { path, flags: O_RDWR });
  }

  /** Two objects and a bit, with a hole in it; its name goes at once, its content stays while it is open. */
  async #makeSource(): Promise<void> {
    const path = `${this.#options.path}.source`;
    const fd = openSync(path, O_RDWR | O_CREAT | O_EXCL);
    for (let offset = 0; offset < SOURCE_BYTES; offset += MIB) {
      if (offset >= OBJECT_BYTES - MIB && offset < OBJECT_BYTES + MIB) continue;
      const data = this.#data(Math.min(MIB, SOURCE_BYTES - offset));
      writeSync(fd, data, 0, data.length, offset);
      this.#source.write(offset, data);
    }
    closeSync(fd);
    this.#aligned = findAligned(path);
    this.#sourceElsewhere = await syscalls().call('open', { path, flags: O_RDWR });
    unlinkSync(path);
  }
}

/** Node does not say where its memory lies, so it is found by trial what O_DIRECT accepts: by reading this file. */
function findAligned(path: string): Buffer {
  const memory = Buffer.alloc(IO_BYTES_MAX + 2 * PAGE_BYTES);
  const fd = openSync(path, constants.O_RDONLY | O_DIRECT);
  try {
    for (let shift = 0; shift < PAGE_BYTES; shift += 8) {
      const candidate = memory.subarray(shift, shift + IO_BYTES_MAX);
      try {
        // As long as it gets: FUSE takes any memory, but cuts long reads at its pages.
        readSync(fd, candidate, 0, IO_BYTES_MAX, 0);
        return candidate;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
      }
    }
  } finally {
    closeSync(fd);
  }
  throw new FsxError('no memory was found that O_DIRECT accepts');
}
