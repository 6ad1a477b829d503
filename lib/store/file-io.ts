import fs from 'node:fs';
import type { Anchor } from './anchor.js';
import { type DirectoryEntry, type Done, type FileStats, type Files, NODE_FILES } from './files.js';
import { OperationWatch } from './operation-watch.js';
import { codeOf, messageOf, StoreError } from './store-error.js';

/** The device or its file system is gone or broken: nothing on it can be relied on any more. */
const FATAL = new Set(['EIO', 'ENXIO', 'ENODEV', 'EROFS', 'EUCLEAN', 'ESHUTDOWN', 'EREMOTEIO', 'EBADMSG', 'ENOTCONN']);
const NO_SPACE = new Set(['ENOSPC', 'EDQUOT']);
/** A punched hole is refused: the file system has none, or it is on a device that cannot. */
const UNSUPPORTED = new Set(['EOPNOTSUPP', 'ENOTSUP', 'ENOSYS']);
/** Callers know what to make of these. */
const PASSED_ON = new Set(['ENOENT', 'EEXIST']);

/**
 * All access to a disk's files. At most `operationsMax` calls are in the kernel at once, so that a slow disk cannot take
 * every thread of the pool; the rest wait in order (their number is bounded by the requests that the caller admits).
 *
 * Rejects with StoreError ENOSPC, EIO, DISK_FAILED, or with the system's own ENOENT and EEXIST. An error that says that the device is broken is reported to `onFatal` first.
 */
export class FileIo {
  readonly files: Files;
  readonly watch = new OperationWatch();
  readonly #operationsMax: number;
  readonly #onFatal: (reason: string) => void;
  readonly #anchor: Anchor | null;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  failure: StoreError | null = null;

  /** Names within the directory of `anchor` are looked up from there. */
  constructor(
    operationsMax: number,
    onFatal: (reason: string) => void,
    files: Files = NODE_FILES,
    anchor: Anchor | null = null,
  ) {
    this.#operationsMax = operationsMax;
    this.#onFatal = onFatal;
    this.files = files;
    this.#anchor = anchor;
  }

  /** Reads until `length` bytes of `target` are filled or the file ends; answers how many there were. */
  read(fd: number, target: Buffer, length: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => this.readThen(fd, target, length, position, resolve, reject));
  }

  /** As `read`, for who has more to do at the end than to resolve a promise. */
  readThen(
    fd: number,
    target: Buffer,
    length: number,
    position: number,
    resolve: (filled: number) => void,
    reject: (error: unknown) => void,
  ): void {
    if (this.#running >= this.#operationsMax || this.failure) {
      this.#readOn(fd, target, 0, length, position, resolve, reject);
      return;
    }
    // The way that nearly every read goes, with nothing allocated but this one closure.
    this.#running++;
    const ticket = this.watch.begin();
    this.files.read(fd, target, 0, length, position, (error, bytes) => {
      this.#end(ticket);
      if (error) reject(this.#convert(error));
      else if (bytes === length || bytes === 0) resolve(bytes);
      else this.#readOn(fd, target, bytes, length, position, resolve, reject);
    });
  }

  /** Reads the rest: a short read in the middle of a file is legal, and seen from io_uring; only 0 is the end. */
  #readOn(
    fd: number,
    target: Buffer,
    filled: number,
    length: number,
    position: number,
    resolve: (filled: number) => void,
    reject: (error: unknown) => void,
  ): void {
    this.#start<number>(
      (done) => this.files.read(fd, target, filled, length - filled, position + filled, done),
      (error, bytes) => {
        if (error) reject(this.#convert(error));
        else if (bytes === 0 || filled + bytes! === length) resolve(filled + bytes!);
        else this.#readOn(fd, target, filled + bytes!, length, position, resolve, reject);
      },
    );
  }

  /** Writes all of `source` from `offset` on, `length` bytes. */
  write(fd: number, source: Buffer, offset: number, length: number, position: number): Promise<void> {
    return new Promise((resolve, reject) => this.writeThen(fd, source, offset, length, position, resolve, reject));
  }

  /** As `write`, for who has more to do at the end than to resolve a promise. */
  writeThen(
    fd: number,
    source: Buffer,
    offset: number,
    length: number,
    position: number,
    resolve: () => void,
    reject: (error: unknown) => void,
  ): void {
    if (this.#running >= this.#operationsMax || this.failure) {
      this.#writeOn(fd, source, offset, length, position, resolve, reject);
      return;
    }
    this.#running++;
    const ticket = this.watch.begin();
    this.files.write(fd, source, offset, length, position, (error, bytes) => {
      this.#end(ticket);
      if (error) reject(this.#convert(error));
      else if (bytes === length) resolve();
      else this.#writeOn(fd, source, offset + bytes, length - bytes, position + bytes, resolve, reject);
    });
  }

  /**
   * As `write`, in one call that is not handed to another thread: for a few bytes that go into the page cache, where that
   * takes less time than to hand them over. Throws.
   */
  writeNow(fd: number, source: Buffer, offset: number, length: number, position: number): void {
    if (this.failure) throw this.failure;
    let written: number;
    try {
      written = this.files.writeSync(fd, source, offset, length, position);
    } catch (error) {
      throw this.#convert(error as NodeJS.ErrnoException);
    }
    if (written !== length) throw this.fail(`${written} of ${length} bytes were written`);
  }

  #writeOn(
    fd: number,
    source: Buffer,
    offset: number,
    length: number,
    position: number,
    resolve: () => void,
    reject: (error: unknown) => void,
  ): void {
    this.#start<number>(
      (done) => this.files.write(fd, source, offset, length, position, done),
      (error, bytes) => {
        if (error) reject(this.#convert(error));
        else if (bytes === length) resolve();
        else this.#writeOn(fd, source, offset + bytes!, length - bytes!, position + bytes!, resolve, reject);
      },
    );
  }

  open(path: string, flags: number): Promise<number> {
    return this.call<number>((done) => this.files.open(this.#at(path), flags, 0o600, done));
  }

  close(fd: number): Promise<void> {
    return this.call<void>((done) => this.files.close(fd, done));
  }

  stat(fd: number): Promise<FileStats> {
    return this.call<FileStats>((done) => this.files.fstat(fd, done));
  }

  truncate(fd: number, length: number): Promise<void> {
    return this.call<void>((done) => this.files.ftruncate(fd, length, done));
  }

  /** An error is the end of the disk: what the kernel could not write it has forgotten, and a second try would lie. */
  async syncData(fd: number): Promise<void> {
    try {
      await this.call<void>((done) => this.files.fdatasync(fd, done));
    } catch (error) {
      throw this.fail(`fdatasync failed: ${messageOf(error)}`);
    }
  }

  /** As `syncData`, for the names in a directory. */
  async syncDirectory(path: string): Promise<void> {
    try {
      const fd = await this.open(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
      try {
        await this.call<void>((done) => this.files.fsync(fd, done));
      } finally {
        await this.close(fd);
      }
    } catch (error) {
      throw this.fail(`fsync of ${path} failed: ${messageOf(error)}`);
    }
  }

  list(path: string): Promise<DirectoryEntry[]> {
    return this.call((done) => this.files.readdir(this.#at(path), { withFileTypes: true }, done));
  }

  statOf(path: string): Promise<FileStats> {
    return this.call((done) => this.files.stat(this.#at(path), done));
  }

  /** Removes a file; one that is not there is as good. */
  async unlink(path: string): Promise<void> {
    try {
      await this.call<void>((done) => this.files.unlink(this.#at(path), done));
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
  }

  /** Makes a directory; answers false where it was there. */
  async makeDirectory(path: string): Promise<boolean> {
    try {
      await this.call<void>((done) => this.files.mkdir(this.#at(path), 0o700, done));
      return true;
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      // Another directory is mounted there, or none.
      throw codeOf(error) === 'ENOENT' ? this.fail(`the directory of ${path} vanished`) : error;
    }
  }

  /** Makes `target` share all blocks of `source`; answers false where the file system cannot. */
  async clone(source: string, target: string): Promise<boolean> {
    try {
      const mode = fs.constants.COPYFILE_FICLONE_FORCE;
      // Not every file system that cannot says so in the same way, so no error of a clone condemns the disk.
      await this.#settle<void>((done) => this.files.copyFile(this.#at(source), this.#at(target), mode, done));
      return true;
    } catch (error) {
      if (NO_SPACE.has(codeOf(error))) throw this.#convert(error as NodeJS.ErrnoException);
      return false;
    }
  }

  /** Gives the range's blocks back; answers false where the file system cannot. */
  async punch(fd: number, offset: number, length: number): Promise<boolean> {
    try {
      await this.#settle<void>((done) => {
        this.files.trim(fd, offset, length).then(() => done(null), done);
      });
      return true;
    } catch (error) {
      if (UNSUPPORTED.has(codeOf(error))) return false;
      throw this.#convert(error as NodeJS.ErrnoException);
    }
  }

  /** Any other call of `files`, watched, counted and with its error converted. */
  call<T>(operation: (done: Done<T>) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#start<T>(operation, (error, result) => {
        if (error) reject(this.#convert(error));
        else resolve(result!);
      });
    });
  }

  #settle<T>(operation: (done: Done<T>) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#start<T>(operation, (error, result) => {
        if (error) reject(error);
        else resolve(result!);
      });
    });
  }

  #at(path: string): string {
    return this.#anchor === null ? path : this.#anchor.pathOf(path);
  }

  #start<T>(operation: (done: Done<T>) => void, done: Done<T>): void {
    if (this.#running >= this.#operationsMax) this.#waiting.push(() => this.#run(operation, done));
    else this.#run(operation, done);
  }

  #run<T>(operation: (done: Done<T>) => void, done: Done<T>): void {
    if (this.failure) {
      done(this.failure);
      this.#next();
      return;
    }
    this.#running++;
    const ticket = this.watch.begin();
    operation((error, result) => {
      this.#end(ticket);
      done(error, result);
    });
  }

  #end(ticket: number): void {
    this.watch.end(ticket);
    this.#running--;
    if (this.#waiting.length > 0) this.#next();
  }

  #next(): void {
    if (this.#waiting.length > 0 && this.#running < this.#operationsMax) this.#waiting.shift()!();
  }

  #convert(error: NodeJS.ErrnoException): Error {
    if (error instanceof StoreError) return error;
    const code = codeOf(error);
    const message = this.#anchor === null ? error.message : this.#anchor.told(error.message);
    if (NO_SPACE.has(code)) return new StoreError('ENOSPC', `no space left: ${message}`, error);
    if (FATAL.has(code)) return this.fail(message);
    return PASSED_ON.has(code) ? error : new StoreError('EIO', message, error);
  }

  /** Ends the use of the disk; answers the error that every operation gets from now on. */
  fail(reason: string): StoreError {
    if (!this.failure) {
      this.failure = new StoreError('DISK_FAILED', `the disk was taken out: ${reason}`);
      this.#onFatal(reason);
    }
    return this.failure;
  }
}
