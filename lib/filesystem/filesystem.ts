import { constants } from 'node:fs';
import { OperationError } from '../fuse/errno.js';
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
} from '../fuse/operations.js';
import { OBJECT_BYTES } from '../replication/object-io.js';
import { validateVdiName } from '../vdi/name.js';
import { now, type VdiRecord } from '../vdi/records.js';
import type { Vdi } from '../vdi/vdi.js';
import type { Vdis } from '../vdi/vdis.js';
import { fileAttributes, PERMISSION_BITS, S_IFMT, S_IFREG, STAT_BLOCK_BYTES } from './attributes.js';
import { Copiers } from './copiers.js';
import { copyBytes } from './copy.js';
import type { Directory } from './directory.js';
import type { Handles } from './handles.js';
import type { Locks } from './locks.js';
import { getXattr, hasXattr, listXattrs, removeXattr, setXattr } from './xattrs.js';

/** O_DIRECT transfers are in sectors, as on a disk: qemu finds its alignment by trying. */
const SECTOR_BYTES = 512;
const NAME_BYTES_MAX = 255;
/** Entries that one readdir answers at the most: the kernel's buffer seldom takes as many. */
const ENTRIES_MAX = 64;
/** Unit of statfs. */
const STATFS_BLOCK_BYTES = 4096;

export interface FilesystemOptions {
  vdis: Vdis;
  handles: Handles;
  locks: Locks;
  directory: Directory;
  /** Where it is mounted, as an absolute path. */
  mountPoint: string;
  /** Copies of a new image's objects. */
  copies: number;
  /** Bytes that images can use in all, and that are free for them. */
  space: () => { total: number; free: number };
}

function timeOf(value: Timestamp | 'now', time: Timestamp): Timestamp {
  return value === 'now' ? time : value;
}

/** The mount: a flat directory in which each image is one regular file. */
export class Filesystem implements Operations {
  readonly #vdis: Vdis;
  readonly #handles: Handles;
  readonly #locks: Locks;
  readonly #directory: Directory;
  readonly #options: FilesystemOptions;
  readonly #copiers: Copiers;

  constructor(options: FilesystemOptions) {
    this.#vdis = options.vdis;
    this.#handles = options.handles;
    this.#locks = options.locks;
    this.#directory = options.directory;
    this.#options = options;
    this.#copiers = new Copiers(options.mountPoint);
  }

  // Names

  async lookup(parent: number, name: string): Promise<Attributes> {
    this.#checkParent(parent);
    if (Buffer.byteLength(name) > NAME_BYTES_MAX) throw new OperationError('ENAMETOOLONG');
    return this.#attributes(await this.#vdis.named(name));
  }

  async readdir(node: number, after: number): Promise<DirectoryEntry[]> {
    this.#checkParent(node);
    const root = await this.#directory.attributes();
    const entries: DirectoryEntry[] = [
      { name: '.', node: ROOT_NODE, cookie: 1, attributes: root },
      { name: '..', node: ROOT_NODE, cookie: 2, attributes: root },
    ];
    // An image's number is its cookie: a listing goes on rightly while others come and go.
    for (const record of await this.#vdis.list(after, ENTRIES_MAX)) {
      entries.push({
        name: record.name,
        node: record.id,
        cookie: record.id,
        attributes: await this.#attributes(record),
      });
    }
    return entries.filter((entry) => entry.cookie > after);
  }

  async mknod(parent: number, name: string, mode: number, context: Context): Promise<Attributes> {
    if ((mode & S_IFMT) !== S_IFREG && (mode & S_IFMT) !== 0) throw new OperationError('EPERM');
    return this.#attributes(await this.#make(parent, name, mode, context));
  }

  async create(
    parent: number,
    name: string,
    flags: number,
    mode: number,
    context: Context,
  ): Promise<{ attributes: Attributes; opened: Opened }> {
    const record = await this.#make(parent, name, mode, context).catch((error) => {
      // Somebody was faster: without O_EXCL the file is simply opened.
      if (error.code === 'EEXIST' && !(flags & constants.O_EXCL)) return this.#existing(name);
      throw error;
    });
    const opened = await this.open(record.id, flags, context);
    return { attributes: await this.#attributes(await this.#vdis.record(record.id)), opened };
  }

  /** What has the name already: an image, or one that is being imported and cannot be opened yet. */
  #existing(name: string): Promise<VdiRecord> {
    return this.#vdis.named(name).catch((error) => {
      throw error.code === 'ENOENT' ? new OperationError('EBUSY', `${name} is being imported`) : error;
    });
  }

  async #make(parent: number, name: string, mode: number, context: Context): Promise<VdiRecord> {
    this.#checkParent(parent);
    validateVdiName(name);
    const { uid, gid } = context;
    const { copies } = this.#options;
    const record = await this.#vdis.create(name, { size: 0, mode: mode & PERMISSION_BITS, uid, gid, copies }, context);
    await this.#nameChanged(context);
    return record;
  }

  async mkdir(parent: number): Promise<Attributes> {
    this.#checkParent(parent);
    throw new OperationError('EPERM', 'there are no directories');
  }

  async rmdir(parent: number, name: string): Promise<void> {
    this.#checkParent(parent);
    await this.#vdis.named(name);
    throw new OperationError('ENOTDIR');
  }

  async unlink(parent: number, name: string, context: Context): Promise<void> {
    this.#checkParent(parent);
    await this.#vdis.unlink(name, context);
    await this.#nameChanged(context);
  }

  async rename(
    parent: number,
    name: string,
    newParent: number,
    newName: string,
    flags: number,
    context: Context,
  ): Promise<void> {
    this.#checkParent(parent);
    this.#checkParent(newParent);
    validateVdiName(newName);
    if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) throw new OperationError('EINVAL');
    await this.#vdis.rename(name, newName, flags, context);
    await this.#nameChanged(context);
  }

  async fsyncdir(): Promise<void> {
    // Names are durable before the call that changes them returns.
  }

  // Attributes

  async getattr(node: number, _handle: number | null, context: Context): Promise<Attributes> {
    if (node === ROOT_NODE) return this.#directory.attributes();
    const attributes = await this.#attributes(await this.#vdis.record(node));
    const whole = Math.ceil(attributes.size / STAT_BLOCK_BYTES);
    if (attributes.blocks < whole && this.#copiers.isCopying(node, context.pid)) attributes.blocks = whole;
    return attributes;
  }

  async setattr(node: number, handle: number | null, changes: SetAttributes): Promise<Attributes> {
    if (node === ROOT_NODE) return this.#directory.change(changes);
    const vdi = await this.#vdis.load(node);
    const { size, ...others } = changes;
    if (size !== undefined) {
      await vdi.resize(size, handle === null ? undefined : this.#handles.generation(handle));
      // That has set it; truncate(2) asks for both.
      if (others.mtime === 'now') delete others.mtime;
    }
    if (Object.keys(others).length > 0) {
      const time = now();
      await vdi.setAttributes(
        (record) => ({
          ...record,
          mode: others.mode === undefined ? record.mode : others.mode & PERMISSION_BITS,
          uid: others.uid ?? record.uid,
          gid: others.gid ?? record.gid,
          atime: others.atime === undefined ? record.atime : timeOf(others.atime, time),
          mtime: others.mtime === undefined ? record.mtime : timeOf(others.mtime, time),
          ctime: time,
        }),
        others.mtime !== undefined,
      );
    }
    return this.#attributes(vdi.record);
  }

  async listxattr(node: number): Promise<string[]> {
    if (node === ROOT_NODE) return [];
    const record = await this.#vdis.record(node);
    return listXattrs(record, await this.#family(record));
  }

  async getxattr(node: number, name: string): Promise<Uint8Array> {
    if (node === ROOT_NODE) throw new OperationError('ENODATA');
    const record = await this.#vdis.record(node);
    return getXattr(record, name.startsWith('user.sheepdog.') ? await this.#family(record) : null, name);
  }

  async setxattr(
    node: number,
    name: string,
    value: Uint8Array,
    flags: number,
    { resent }: Pick<Context, 'resent'>,
  ): Promise<void> {
    if (node === ROOT_NODE) throw new OperationError('EOPNOTSUPP');
    const vdi = await this.#vdis.load(node);
    // A worker that died may have made it.
    if (resent && hasXattr(vdi.record, name, value)) return;
    await vdi.setAttributes((record) => ({ ...setXattr(record, name, value, flags), ctime: now() }));
  }

  async removexattr(node: number, name: string, { resent }: Pick<Context, 'resent'>): Promise<void> {
    if (node === ROOT_NODE) throw new OperationError('ENODATA');
    const vdi = await this.#vdis.load(node);
    // A worker that died may have removed it.
    if (resent && vdi.record.xattrs?.[name] === undefined) return;
    await vdi.setAttributes((record) => ({ ...removeXattr(record, name), ctime: now() }));
  }

  async statfs(): Promise<FilesystemStatistics> {
    const { total, free } = this.#options.space();
    const blocks = (bytes: number) => Math.floor(bytes / STATFS_BLOCK_BYTES);
    const files = await this.#vdis.count();
    const filesFree = Math.floor(free / OBJECT_BYTES);
    return {
      blockSize: STATFS_BLOCK_BYTES,
      blocks: blocks(total),
      blocksFree: blocks(free),
      blocksAvailable: blocks(free),
      files: files + filesFree,
      filesFree,
      nameLengthMax: NAME_BYTES_MAX,
    };
  }

  // Open files

  async open(node: number, flags: number, context: Context): Promise<Opened> {
    if (node === ROOT_NODE) throw new OperationError('EISDIR');
    const vdi = await this.#vdis.load(node);
    // Another host may have had it since this one looked last.
    await vdi.refresh();
    const handle = this.#handles.add(node, flags, context, vdi.generation());
    // It may have been removed between the look-up and the handle.
    await this.#vdis.opened(node).catch((error) => {
      this.#handles.remove(handle);
      throw error;
    });
    this.#copiers.opened(handle, node, context.pid, flags);
    return { handle };
  }

  read(node: number, handle: number, offset: number, buffer: Buffer, flags: number): Promise<number> {
    if (flags & constants.O_DIRECT && (buffer.length % SECTOR_BYTES || offset % SECTOR_BYTES)) {
      return Promise.reject(new OperationError('EINVAL', 'O_DIRECT in other units than sectors'));
    }
    const vdi = this.#vdis.loaded(node);
    const opened = this.#handles.generation(handle);
    if (vdi) return vdi.read(offset, buffer, opened);
    return this.#vdis.load(node).then((loaded) => loaded.read(offset, buffer, opened));
  }

  write(node: number, handle: number, offset: number, data: Buffer, flags: number): Promise<number> {
    if (flags & constants.O_DIRECT && (data.length % SECTOR_BYTES || offset % SECTOR_BYTES)) {
      return Promise.reject(new OperationError('EINVAL', 'O_DIRECT in other units than sectors'));
    }
    const opened = this.#handles.generation(handle);
    if (flags & constants.O_DSYNC) return this.#writeThrough(node, opened, offset, data, flags);
    const vdi = this.#vdis.loaded(node);
    if (vdi) return vdi.write(offset, data, opened);
    return this.#vdis.load(node).then((loaded) => loaded.write(offset, data, opened));
  }

  // With O_SYNC or O_DSYNC the kernel sends the write alone: no fsync follows it.
  async #writeThrough(node: number, opened: number, offset: number, data: Buffer, flags: number): Promise<number> {
    const vdi = await this.#vdis.load(node);
    const written = await vdi.write(offset, data, opened);
    await vdi.flush((flags & constants.O_SYNC) !== constants.O_SYNC, opened);
    return written;
  }

  async flush(node: number, handle: number, owner: bigint): Promise<void> {
    await this.#locks.flushOwner(node, handle, owner);
  }

  async fsync(node: number, handle: number, dataOnly: boolean): Promise<void> {
    await (await this.#vdis.load(node)).flush(dataOnly, this.#handles.generation(handle));
  }

  async release(node: number, handle: number): Promise<void> {
    this.#copiers.released(handle);
    await this.#locks.releaseHandle(node, handle);
    this.#handles.remove(handle);
    if (this.#handles.opens(node) > 0) return;
    const vdi = this.#vdis.loaded(node);
    if (vdi && !vdi.record.unlinked) await vdi.settle();
    await this.#vdis.removeIfUnused(node);
    this.#vdis.closed(node);
  }

  async fallocate(node: number, handle: number, mode: number, offset: number, length: number): Promise<void> {
    const vdi = await this.#vdis.load(node);
    const opened = this.#handles.generation(handle);
    const keepSize = (mode & FALLOC_KEEP_SIZE) !== 0;
    switch (mode & ~FALLOC_KEEP_SIZE) {
      case 0:
        return vdi.allocate(offset, length, keepSize, opened);
      case FALLOC_PUNCH_HOLE:
        return vdi.discard(offset, length, opened);
      case FALLOC_ZERO_RANGE:
        if (!keepSize) await vdi.grow(offset + length, opened);
        return vdi.discard(offset, length, opened);
      default:
        throw new OperationError('EOPNOTSUPP');
    }
  }

  async lseek(node: number, handle: number, offset: number, whence: number): Promise<number> {
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) throw new OperationError('EINVAL');
    const vdi = await this.#vdis.load(node);
    const found = await vdi.seek(offset, whence, this.#handles.generation(handle));
    if (found === null) throw new OperationError('ENXIO');
    return found;
  }

  async copyFileRange(
    source: { node: number; offset: number },
    target: { node: number; offset: number },
    length: number,
  ): Promise<number> {
    const [from, to]: [Vdi, Vdi] = [await this.#vdis.load(source.node), await this.#vdis.load(target.node)];
    const { size } = await from.current();
    const bytes = Math.min(length, size - source.offset);
    if (bytes <= 0) return 0;
    // Sharing costs a few transactions: not worth it for a file of less than an object.
    if (source.offset === target.offset && size >= OBJECT_BYTES && from.id !== to.id) {
      if (await this.#vdis.share(from, to, source.offset, source.offset + bytes)) return bytes;
    }
    return copyBytes(from, source.offset, to, target.offset, bytes);
  }

  // Locks

  async getlk(node: number, handle: number, lock: LockRequest): Promise<HeldLock | null> {
    return this.#locks.getlk(node, handle, lock);
  }

  async setlk(node: number, handle: number, lock: LockRequest, context: Context): Promise<void> {
    await this.#locks.setlk(node, handle, lock, context.signal);
  }

  async #attributes(record: VdiRecord): Promise<Attributes> {
    return fileAttributes(record, await this.#vdis.usage(record));
  }

  async #family(record: VdiRecord) {
    return (await this.#vdis.catalog.family(record.family))?.record ?? null;
  }

  async #nameChanged(context: Context): Promise<void> {
    await this.#directory.touch();
    // The answer is written before another turn of the event loop; a re-sent request can only come before that.
    setImmediate(() => this.#vdis.catalog.answered(context));
  }

  #checkParent(node: number): void {
    if (node !== ROOT_NODE) throw new OperationError('ENOTDIR');
  }
}
