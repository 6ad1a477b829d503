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
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  ROOT_NODE,
  SEEK_DATA,
  SEEK_HOLE,
  type SetAttributes,
  type Timestamp,
  XATTR_CREATE,
  XATTR_REPLACE,
} from '../../lib/fuse/operations.js';
import { MemoryFile } from './memory-file.js';
import { MemoryLocks } from './memory-locks.js';

const { S_IFMT, S_IFREG, S_IFDIR, O_TRUNC, O_EXCL, O_DIRECT } = constants;
const NAME_BYTES_MAX = 255;
const SECTOR_BYTES = 512;
const LISTING_MAX = 256;
const BLOCK_BYTES = 4096;
/** More than 32 bits can count. */
export const CAPACITY_BYTES = 64 * 1024 ** 4;
const BLOCKS = CAPACITY_BYTES / BLOCK_BYTES;
/** Handles are safe integers, not small ones. */
const HANDLES_START = 2 ** 40;
const COPY_BYTES = 1024 * 1024;

interface Inode {
  node: number;
  mode: number;
  uid: number;
  gid: number;
  linked: boolean;
  open: number;
  atime: Timestamp;
  mtime: Timestamp;
  ctime: Timestamp;
  xattrs: Map<string, Buffer>;
  file: MemoryFile;
}

/** A flat directory of regular files, in memory, that does all that the interface can ask for. */
export class MemoryFilesystem implements Operations {
  readonly #names = new Map<string, Inode>();
  readonly #inodes = new Map<number, Inode>();
  readonly #locks = new MemoryLocks();
  readonly #root = inode(ROOT_NODE, S_IFDIR | 0o755, process.getuid?.() ?? 0, process.getgid?.() ?? 0);
  #numbers = ROOT_NODE;
  #handles = HANDLES_START;

  constructor() {
    this.#inodes.set(ROOT_NODE, this.#root);
  }

  async lookup(parent: number, name: string): Promise<Attributes> {
    return attributesOf(this.#named(parent, name));
  }

  async getattr(node: number): Promise<Attributes> {
    return attributesOf(this.#inode(node));
  }

  async setattr(node: number, _handle: number | null, changes: SetAttributes): Promise<Attributes> {
    const target = this.#inode(node);
    const time = now();
    if (changes.size !== undefined) {
      target.file.truncate(changes.size);
      target.mtime = time;
    }
    if (changes.mode !== undefined) target.mode = (target.mode & S_IFMT) | (changes.mode & 0o7777);
    target.uid = changes.uid ?? target.uid;
    target.gid = changes.gid ?? target.gid;
    if (changes.atime) target.atime = changes.atime === 'now' ? time : changes.atime;
    if (changes.mtime) target.mtime = changes.mtime === 'now' ? time : changes.mtime;
    target.ctime = time;
    return attributesOf(target);
  }

  async mknod(parent: number, name: string, mode: number, context: Context): Promise<Attributes> {
    if ((mode & S_IFMT) !== S_IFREG) throw new OperationError('EPERM');
    return attributesOf(this.#make(parent, name, mode, context));
  }

  async mkdir(parent: number, name: string): Promise<Attributes> {
    if (this.#names.has(checkName(parent, name))) throw new OperationError('EEXIST');
    throw new OperationError('EPERM');
  }

  async unlink(parent: number, name: string): Promise<void> {
    this.#unlink(this.#named(parent, name), name);
  }

  async rmdir(parent: number, name: string): Promise<void> {
    this.#named(parent, name);
    throw new OperationError('ENOTDIR');
  }

  async rename(parent: number, name: string, newParent: number, newName: string, flags: number): Promise<void> {
    const source = this.#named(parent, name);
    const target = this.#names.get(checkName(newParent, newName));
    checkNewName(newName);
    if (source === target) return;
    if (flags & RENAME_EXCHANGE) {
      if (!target) throw new OperationError('ENOENT');
      this.#names.set(name, target);
      target.ctime = now();
    } else {
      if (target && flags & RENAME_NOREPLACE) throw new OperationError('EEXIST');
      if (target) this.#unlink(target, newName);
      this.#names.delete(name);
    }
    this.#names.set(newName, source);
    source.ctime = now();
  }

  async create(parent: number, name: string, flags: number, mode: number, context: Context) {
    const existing = this.#names.get(checkName(parent, name));
    if (existing && flags & O_EXCL) throw new OperationError('EEXIST');
    const created = existing ?? this.#make(parent, name, S_IFREG | (mode & 0o7777), context);
    return { attributes: attributesOf(created), opened: this.#open(created, flags) };
  }

  async open(node: number, flags: number): Promise<Opened> {
    return this.#open(this.#inode(node), flags);
  }

  async read(node: number, _handle: number, offset: number, buffer: Buffer, flags: number): Promise<number> {
    if (flags & O_DIRECT && (offset % SECTOR_BYTES || buffer.length % SECTOR_BYTES)) throw new OperationError('EINVAL');
    return this.#inode(node).file.read(offset, buffer);
  }

  async write(node: number, _handle: number, offset: number, data: Buffer): Promise<number> {
    const target = this.#inode(node);
    target.file.write(offset, data);
    touch(target);
    return data.length;
  }

  async flush(node: number, _handle: number, owner: bigint): Promise<void> {
    this.#locks.flush(node, owner);
  }

  async fsync(node: number): Promise<void> {
    this.#inode(node);
  }

  async release(node: number, handle: number): Promise<void> {
    const target = this.#inode(node);
    this.#locks.release(node, handle);
    target.open--;
    this.#forget(target);
  }

  async readdir(node: number, after: number): Promise<DirectoryEntry[]> {
    if (node !== ROOT_NODE) throw new OperationError('ENOTDIR');
    // A file keeps its number, so the number is a position that stays while others come and go.
    return [...this.#names]
      .filter(([, target]) => target.node > after)
      .sort(([, a], [, b]) => a.node - b.node)
      .slice(0, LISTING_MAX)
      .map(([name, target]) => ({ name, node: target.node, cookie: target.node, attributes: attributesOf(target) }));
  }

  async fsyncdir(): Promise<void> {}

  async statfs(): Promise<FilesystemStatistics> {
    let used = 0;
    for (const { file } of this.#inodes.values()) used += (file.blocks * 512) / BLOCK_BYTES;
    const free = Math.floor(BLOCKS - used);
    return {
      blockSize: BLOCK_BYTES,
      blocks: BLOCKS,
      blocksFree: free,
      blocksAvailable: free,
      files: 2 ** 32,
      filesFree: 2 ** 32 - this.#names.size,
      nameLengthMax: NAME_BYTES_MAX,
    };
  }

  async getxattr(node: number, name: string): Promise<Uint8Array> {
    const value = this.#inode(node).xattrs.get(name);
    if (!value) throw new OperationError('ENODATA');
    return value;
  }

  async setxattr(node: number, name: string, value: Uint8Array, flags: number): Promise<void> {
    if (!name.startsWith('user.')) throw new OperationError('EOPNOTSUPP');
    const target = this.#inode(node);
    if (flags & XATTR_CREATE && target.xattrs.has(name)) throw new OperationError('EEXIST');
    if (flags & XATTR_REPLACE && !target.xattrs.has(name)) throw new OperationError('ENODATA');
    target.xattrs.set(name, Buffer.from(value));
    target.ctime = now();
  }

  async listxattr(node: number): Promise<string[]> {
    return [...this.#inode(node).xattrs.keys()];
  }

  async removexattr(node: number, name: string): Promise<void> {
    if (!this.#inode(node).xattrs.delete(name)) throw new OperationError('ENODATA');
  }

  async fallocate(node: number, _handle: number, mode: number, offset: number, length: number): Promise<void> {
    const target = this.#inode(node);
    const keepSize = (mode & FALLOC_KEEP_SIZE) !== 0;
    const kind = mode & ~FALLOC_KEEP_SIZE;
    if (kind === FALLOC_PUNCH_HOLE || kind === FALLOC_ZERO_RANGE) target.file.discard(offset, length);
    else if (kind === 0) target.file.allocate(offset, length);
    else throw new OperationError('EOPNOTSUPP');
    if (!keepSize) target.file.size = Math.max(target.file.size, offset + length);
    touch(target);
  }

  async lseek(node: number, _handle: number, offset: number, whence: number): Promise<number> {
    const { file } = this.#inode(node);
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) throw new OperationError('EINVAL');
    const found = file.seek(offset, whence === SEEK_DATA);
    if (found === null) throw new OperationError('ENXIO');
    return found;
  }

  async copyFileRange(
    source: { node: number; offset: number },
    target: { node: number; offset: number },
    length: number,
  ): Promise<number> {
    const from = this.#inode(source.node);
    const to = this.#inode(target.node);
    const total = Math.max(0, Math.min(length, from.file.size - source.offset));
    for (let done = 0; done < total; done += COPY_BYTES) {
      const piece = Buffer.alloc(Math.min(COPY_BYTES, total - done));
      from.file.read(source.offset + done, piece);
      to.file.write(target.offset + done, piece);
    }
    if (total > 0) touch(to);
    return total;
  }

  async getlk(node: number, _handle: number, lock: LockRequest): Promise<HeldLock | null> {
    return this.#locks.test(node, lock);
  }

  setlk(node: number, handle: number, lock: LockRequest, context: Context): Promise<void> {
    return this.#locks.set(node, handle, lock, context.signal);
  }

  #named(parent: number, name: string): Inode {
    const found = this.#names.get(checkName(parent, name));
    if (!found) throw new OperationError('ENOENT');
    return found;
  }

  #inode(node: number): Inode {
    const found = this.#inodes.get(node);
    if (!found) throw new OperationError('ESTALE');
    return found;
  }

  #make(parent: number, name: string, mode: number, context: Context): Inode {
    if (this.#names.has(checkName(parent, name))) throw new OperationError('EEXIST');
    checkNewName(name);
    this.#numbers++;
    const made = inode(this.#numbers, mode, context.uid, context.gid);
    this.#names.set(name, made);
    this.#inodes.set(made.node, made);
    return made;
  }

  #open(target: Inode, flags: number): Opened {
    if (flags & O_TRUNC) {
      target.file.truncate(0);
      touch(target);
    }
    target.open++;
    this.#handles++;
    return { handle: this.#handles };
  }

  #unlink(target: Inode, name: string): void {
    this.#names.delete(name);
    target.linked = false;
    target.ctime = now();
    this.#forget(target);
  }

  #forget(target: Inode): void {
    if (!target.linked && target.open === 0) this.#inodes.delete(target.node);
  }
}

function inode(node: number, mode: number, uid: number, gid: number): Inode {
  const time = now();
  const file = new MemoryFile();
  return {
    node,
    mode,
    uid,
    gid,
    linked: true,
    open: 0,
    atime: time,
    mtime: time,
    ctime: time,
    xattrs: new Map(),
    file,
  };
}

function attributesOf({ node, mode, uid, gid, linked, atime, mtime, ctime, file }: Inode): Attributes {
  const links = linked ? (node === ROOT_NODE ? 2 : 1) : 0;
  return { node, size: file.size, blocks: file.blocks, mode, links, uid, gid, atime, mtime, ctime };
}

function checkName(parent: number, name: string): string {
  if (parent !== ROOT_NODE) throw new OperationError('ENOTDIR');
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) throw new OperationError('ENAMETOOLONG');
  return name;
}

function checkNewName(name: string): void {
  if (name.startsWith('.')) throw new OperationError('EPERM');
}

function touch(target: Inode): void {
  target.mtime = now();
  target.ctime = target.mtime;
}

function now(): Timestamp {
  const microseconds = Math.round((performance.timeOrigin + performance.now()) * 1000);
  return { seconds: Math.floor(microseconds / 1e6), nanoseconds: (microseconds % 1e6) * 1000 };
}
