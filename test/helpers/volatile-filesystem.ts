/**
 * A file system in memory that loses in a power cut what was not synced. Its fault model:
 *
 * - fsync and fdatasync of a file make its data and its size durable, but not its name. A write that carries O_DSYNC
 *   makes its own sectors durable, and no other.
 * - A name (created, renamed, removed) is durable after an fsync of its directory. A rename is one change: it is
 *   durable with an fsync of either directory, and never loses both names, nor what it replaces before it is done.
 *   The names in a directory are of no use while the directory's own name is not durable.
 * - Everything else may reach the disk at any time and in any order: a sector of 512 bytes is written whole or not at
 *   all. Now and then something does, so that a cut also finds states that were overwritten since.
 * - Owners, modes and times are always durable: nothing under test depends on them.
 *
 * `powerCut` answers what is left: in mode `lost` only what is durable, in mode `kept` everything, in mode `torn` each
 * sector, size and name that is not durable survives or not, by the seed.
 */
import { constants } from 'node:fs';
import { OperationError } from '../../lib/fuse/errno.js';
import {
  type Attributes,
  type Context,
  type DirectoryEntry,
  FALLOC_KEEP_SIZE,
  FALLOC_PUNCH_HOLE,
  FALLOC_ZERO_RANGE,
  type FilesystemStatistics,
  type HeldLock,
  type LockRequest,
  type Opened,
  type Operations,
  RENAME_NOREPLACE,
  SEEK_DATA,
  SEEK_HOLE,
  type SetAttributes,
} from '../../lib/fuse/operations.js';
import { MemoryLocks } from './memory-locks.js';
import { Random } from './random.js';
import { VolatileFile } from './volatile-file.js';
import { attributesOf, type DirectoryNode, type FileNode, type Node, VolatileNames } from './volatile-names.js';

export type CutMode = 'lost' | 'kept' | 'torn';

const { S_IFMT, S_IFREG, S_IFDIR, O_TRUNC, O_EXCL, O_DSYNC } = constants;
const NAME_BYTES_MAX = 255;
const LISTING_MAX = 256;
const BLOCK_BYTES = 4096;
/** How likely a change is to be followed by some of what is not durable reaching the disk by itself. */
const WRITEBACK_CHANCE = 0.01;
/** A look-up of this name syncs the whole file system: there is no syncfs(2) through FUSE. */
export const SYNC_NAME = '.sync-filesystem';
/** From a look-up of this name on, no change is answered before it is known what becomes of it. */
export const HOLD_NAME = '.hold-changes';

export interface VolatileOptions {
  /** Bytes of data that there is room for. */
  capacity: number;
  /** Determines what reaches the disk by itself. */
  seed: number;
}

export class VolatileFilesystem implements Operations {
  readonly #options: VolatileOptions;
  readonly #names: VolatileNames;
  readonly #random: Random;
  readonly #locks = new MemoryLocks();
  #handles = 0;
  /** What was asked for so far, by operation. */
  readonly counts = { writes: 0, syncs: 0, directorySyncs: 0, lost: 0 };

  constructor(options: VolatileOptions, names = new VolatileNames()) {
    this.#options = options;
    this.#names = names;
    this.#random = new Random(options.seed);
  }

  /** The file system as the machine finds it when it is on again; this one is not to be used any more. */
  powerCut(seed: number, mode: CutMode): VolatileFilesystem {
    const random = new Random(seed);
    const probability = mode === 'lost' ? 0 : mode === 'kept' ? 1 : [0.1, 0.5, 0.9][random.below(3)]!;
    for (const node of this.#names.nodes()) {
      if (!('file' in node)) continue;
      this.counts.lost += node.file.dirtyBytes;
      if (mode === 'kept') node.file.sync();
      else if (mode === 'torn') node.file.settle(random, probability);
    }
    if (mode !== 'lost') {
      for (const node of this.#names.changed()) if (random.chance(probability)) this.#names.settle(node);
    }
    return new VolatileFilesystem({ ...this.#options, seed }, this.#names.remains());
  }

  /** Everything is on disk. */
  syncAll(): void {
    for (const node of this.#names.nodes()) if ('file' in node) node.file.sync();
    for (const node of this.#names.changed()) this.#names.settle(node);
  }

  /** The name that a node has now, without its directories, or null. */
  nameOf(node: number): string | null {
    return this.#names.node(node).place?.name ?? null;
  }

  async lookup(parent: number, name: string): Promise<Attributes> {
    if (name === SYNC_NAME) this.syncAll();
    return attributesOf(this.#named(parent, name));
  }

  async getattr(node: number): Promise<Attributes> {
    return attributesOf(this.#names.node(node));
  }

  async setattr(node: number, _handle: number | null, changes: SetAttributes): Promise<Attributes> {
    const target = this.#names.node(node);
    if (changes.size !== undefined) {
      this.#file(node).file.truncate(changes.size);
      this.#changed(target);
    }
    if (changes.mode !== undefined) target.mode = (target.mode & S_IFMT) | (changes.mode & 0o7777);
    target.uid = changes.uid ?? target.uid;
    target.gid = changes.gid ?? target.gid;
    return attributesOf(target);
  }

  async mknod(parent: number, name: string, mode: number, context: Context): Promise<Attributes> {
    if ((mode & S_IFMT) !== S_IFREG) throw new OperationError('EPERM');
    return attributesOf(this.#make(parent, name, mode, context));
  }

  async mkdir(parent: number, name: string, mode: number, context: Context): Promise<Attributes> {
    return attributesOf(this.#make(parent, name, S_IFDIR | (mode & 0o7777), context));
  }

  async unlink(parent: number, name: string): Promise<void> {
    const target = this.#named(parent, name);
    if ('entries' in target) throw new OperationError('EISDIR');
    this.#names.remove(target);
    this.#changed(target);
  }

  async rmdir(parent: number, name: string): Promise<void> {
    const target = this.#named(parent, name);
    if (!('entries' in target)) throw new OperationError('ENOTDIR');
    if (target.entries.size > 0) throw new OperationError('ENOTEMPTY');
    this.#names.remove(target);
  }

  async rename(parent: number, name: string, newParent: number, newName: string, flags: number): Promise<void> {
    const source = this.#named(parent, name);
    const directory = this.#directory(newParent);
    const target = directory.entries.get(checkName(newName));
    if (flags & ~RENAME_NOREPLACE) throw new OperationError('EINVAL');
    if (target && flags & RENAME_NOREPLACE) throw new OperationError('EEXIST');
    if (source === target) return;
    if (target && 'entries' in target && target.entries.size > 0) throw new OperationError('ENOTEMPTY');
    this.#names.move(source, directory, newName);
    this.#changed(source);
  }

  async create(parent: number, name: string, flags: number, mode: number, context: Context) {
    const existing = this.#directory(parent).entries.get(checkName(name));
    if (existing && flags & O_EXCL) throw new OperationError('EEXIST');
    const created = existing ?? this.#make(parent, name, S_IFREG | (mode & 0o7777), context);
    return { attributes: attributesOf(created), opened: this.#open(created, flags) };
  }

  async open(node: number, flags: number): Promise<Opened> {
    return this.#open(this.#names.node(node), flags);
  }

  async read(node: number, _handle: number, offset: number, buffer: Buffer): Promise<number> {
    return this.#file(node).file.read(offset, buffer);
  }

  async write(node: number, _handle: number, offset: number, data: Buffer, flags: number): Promise<number> {
    const { file } = this.#file(node);
    this.#checkSpace(file.growth(offset, data.length));
    file.write(offset, data);
    if (flags & O_DSYNC) file.syncRange(offset, data.length);
    this.counts.writes++;
    this.#changed(this.#names.node(node));
    return data.length;
  }

  async flush(node: number, _handle: number, owner: bigint): Promise<void> {
    this.#locks.flush(node, owner);
  }

  async fsync(node: number): Promise<void> {
    this.#file(node).file.sync();
    this.counts.syncs++;
  }

  async release(node: number, handle: number): Promise<void> {
    this.#locks.release(node, handle);
    this.#names.close(this.#names.node(node));
  }

  async readdir(node: number, after: number): Promise<DirectoryEntry[]> {
    // A file keeps its number, so the number is a position that stays while others come and go.
    return [...this.#directory(node).entries]
      .filter(([, target]) => target.node > after)
      .sort(([, a], [, b]) => a.node - b.node)
      .slice(0, LISTING_MAX)
      .map(([name, target]) => ({ name, node: target.node, cookie: target.node, attributes: attributesOf(target) }));
  }

  async fsyncdir(node: number): Promise<void> {
    this.#names.sync(this.#directory(node));
    this.counts.directorySyncs++;
  }

  async statfs(): Promise<FilesystemStatistics> {
    const blocks = Math.floor(this.#options.capacity / BLOCK_BYTES);
    const free = Math.max(0, Math.floor((this.#options.capacity - this.#names.bytes()) / BLOCK_BYTES));
    return {
      blockSize: BLOCK_BYTES,
      blocks,
      blocksFree: free,
      blocksAvailable: free,
      files: 2 ** 20,
      filesFree: 2 ** 20,
      nameLengthMax: NAME_BYTES_MAX,
    };
  }

  async getxattr(): Promise<Uint8Array> {
    throw new OperationError('EOPNOTSUPP');
  }

  async setxattr(): Promise<void> {
    throw new OperationError('EOPNOTSUPP');
  }

  async listxattr(): Promise<string[]> {
    throw new OperationError('EOPNOTSUPP');
  }

  async removexattr(): Promise<void> {
    throw new OperationError('EOPNOTSUPP');
  }

  async fallocate(node: number, _handle: number, mode: number, offset: number, length: number): Promise<void> {
    const { file } = this.#file(node);
    const kind = mode & ~FALLOC_KEEP_SIZE;
    if (kind === FALLOC_PUNCH_HOLE || kind === FALLOC_ZERO_RANGE) {
      file.discard(offset, Math.max(0, Math.min(length, file.size - offset)));
    } else if (kind === 0) {
      this.#checkSpace(file.growth(offset, length));
      file.allocate(offset, length);
    } else {
      throw new OperationError('EOPNOTSUPP');
    }
    if (!(mode & FALLOC_KEEP_SIZE)) file.size = Math.max(file.size, offset + length);
    this.#changed(this.#names.node(node));
  }

  async lseek(node: number, _handle: number, offset: number, whence: number): Promise<number> {
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) throw new OperationError('EINVAL');
    const found = this.#file(node).file.seek(offset, whence === SEEK_DATA);
    if (found === null) throw new OperationError('ENXIO');
    return found;
  }

  async copyFileRange(): Promise<number> {
    // The kernel then copies by itself.
    throw new OperationError('EOPNOTSUPP');
  }

  async getlk(node: number, _handle: number, lock: LockRequest): Promise<HeldLock | null> {
    return this.#locks.test(node, lock);
  }

  setlk(node: number, handle: number, lock: LockRequest, context: Context): Promise<void> {
    return this.#locks.set(node, handle, lock, context.signal);
  }

  #directory(node: number): DirectoryNode {
    const found = this.#names.node(node);
    if (!('entries' in found)) throw new OperationError('ENOTDIR');
    return found;
  }

  #file(node: number): FileNode {
    const found = this.#names.node(node);
    if (!('file' in found)) throw new OperationError('EISDIR');
    return found;
  }

  #named(parent: number, name: string): Node {
    const found = this.#directory(parent).entries.get(checkName(name));
    if (!found) throw new OperationError('ENOENT');
    return found;
  }

  #make(parent: number, name: string, mode: number, context: Context): Node {
    const directory = this.#directory(parent);
    if (directory.entries.has(checkName(name))) throw new OperationError('EEXIST');
    const file = (mode & S_IFMT) === S_IFDIR ? null : new VolatileFile();
    const made = this.#names.add(directory, name, file, { mode, uid: context.uid, gid: context.gid });
    this.#changed(made);
    return made;
  }

  #open(target: Node, flags: number): Opened {
    if (flags & O_TRUNC && 'file' in target) {
      target.file.truncate(0);
      this.#changed(target);
    }
    target.opens++;
    this.#handles++;
    return { handle: this.#handles };
  }

  /** Some of what is not durable may reach the disk now. */
  #changed(node: Node): void {
    node.changed();
    if (!this.#random.chance(WRITEBACK_CHANCE)) return;
    if ('file' in node) node.file.settle(this.#random, 0.5);
    if (this.#random.chance(0.5)) this.#names.settle(node);
  }

  #checkSpace(growth: number): void {
    if (growth > 0 && this.#names.bytes() + growth > this.#options.capacity) throw new OperationError('ENOSPC');
  }
}

function checkName(name: string): string {
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) throw new OperationError('ENAMETOOLONG');
  return name;
}
