import { constants } from 'node:fs';
import type { DirectoryEntry, Done, FileStats, Files, FilesystemStats } from '../../lib/store/files.js';
import type { Random } from '../helpers/random.js';
import type { DeviceWork, SimulatedDevice } from './disk-device.js';
import type { SimulatedDirectory, SimulatedNode } from './disk-directory.js';
import { systemError } from './disk-error.js';
import { PAGE_BYTES, SECTOR_BYTES, SimulatedFile } from './disk-file.js';
import type { Mounts, Place } from './disk-mounts.js';
import type { Operations } from './disk-operations.js';

interface OpenNode {
  readonly fd: number;
  readonly device: SimulatedDevice;
  readonly node: SimulatedFile | SimulatedDirectory;
  readonly writable: boolean;
  /** Each write is synced before it is answered. */
  readonly synced: boolean;
  /** Of the device when it was opened. */
  readonly attachment: number;
}

type Ended = (error: NodeJS.ErrnoException | null) => void;
type Counted = (error: NodeJS.ErrnoException | null, bytes: number) => void;

const FIRST_DESCRIPTOR = 3;
/** What `fs` answers for a directory that nothing is mounted on. */
const BARE_DEVICE = 0;
const BLOCKS_PER_PAGE = PAGE_BYTES / 512;

/** `node:fs` of one process, over the devices that its machine has mounted. Every call takes simulated time. */
export class SimulatedFiles implements Files {
  readonly #mounts: Mounts;
  readonly #operations: Operations;
  readonly #open = new Map<number, OpenNode>();
  #next = FIRST_DESCRIPTOR;

  constructor(mounts: Mounts, operations: Operations) {
    this.#mounts = mounts;
    this.#operations = operations;
  }

  /** Descriptors that are open. */
  get descriptors(): number {
    return this.#open.size;
  }

  /** The process has ended. */
  kill(): void {
    for (const fd of [...this.#open.keys()]) this.#release(fd);
  }

  open(path: string, flags: number, _mode: number, done: Done<number>): void {
    this.#name('open', path, done, (place) => this.#openAt(path, place, flags));
  }

  close(fd: number, done: Ended): void {
    this.#descriptor('close', 'name', fd, done, () => this.#release(fd));
  }

  closeSync(fd: number): void {
    if (!this.#operations.alive) return;
    if (!this.#open.has(fd)) throw systemError('EBADF', 'close');
    this.#release(fd);
  }

  read(fd: number, target: Buffer, offset: number, length: number, position: number, done: Counted): void {
    const open = this.#fileOf(fd, false, done);
    if (open === null) return;
    const { node, device } = open;
    this.#operations.start({
      device,
      work: 'read',
      call: 'read',
      run: () => done(null, node.read(target, offset, length, position)),
      fail: done as Ended,
    });
  }

  write(fd: number, source: Buffer, offset: number, length: number, position: number, done: Counted): void {
    const open = this.#fileOf(fd, true, done);
    if (open === null) return;
    const { node, device } = open;
    this.#operations.start({
      device,
      work: 'write',
      call: 'write',
      run: () => {
        const written = node.write(source, offset, length, position, device.pagesFree);
        if (written === 0 && length > 0) {
          done(systemError('ENOSPC', 'write'), 0);
          return;
        }
        if (open.synced) node.finishSync(node.beginSync());
        done(null, written);
      },
      fail: done as Ended,
      abandon: (random) => {
        const sectors = random.below(Math.ceil(length / SECTOR_BYTES) + 1);
        // Up to the end of a sector of the file, or all.
        const end = (Math.floor(position / SECTOR_BYTES) + sectors) * SECTOR_BYTES - position;
        const written = sectors === 0 ? 0 : Math.min(length, Math.max(0, end));
        node.write(source, offset, random.chance(0.5) ? length : written, position, device.pagesFree);
      },
    });
  }

  fstat(fd: number, done: Done<FileStats>): void {
    this.#descriptor('fstat', 'name', fd, done, () => this.fstatSync(fd));
  }

  fstatSync(fd: number): FileStats {
    const open = this.#open.get(fd);
    if (!open) throw systemError('EBADF', 'fstat');
    if (isVoid(open)) throw systemError('EIO', 'fstat');
    return statsOf(open.device, open.node);
  }

  ftruncate(fd: number, length: number, done: Ended): void {
    const truncate = ({ node, writable }: OpenNode) => {
      if (!writable || node.kind !== 'file') throw systemError('EINVAL', 'ftruncate');
      node.truncate(length);
    };
    this.#descriptor('ftruncate', 'write', fd, done, truncate, truncate);
  }

  trim(fd: number, offset: number, length: number): Promise<void> {
    const punch = ({ node, writable }: OpenNode) => {
      if (!writable || node.kind !== 'file') throw systemError('EBADF', 'fallocate');
      node.punch(offset, length);
    };
    return new Promise((resolve, reject) => {
      const done: Ended = (error) => (error ? reject(error) : resolve());
      this.#descriptor('fallocate', 'write', fd, done, punch, punch);
    });
  }

  fdatasync(fd: number, done: Ended): void {
    this.#sync('fdatasync', fd, done);
  }

  fsync(fd: number, done: Ended): void {
    this.#sync('fsync', fd, done);
  }

  tryLock(fd: number): boolean {
    const open = this.#open.get(fd);
    if (!open?.writable || open.node.kind !== 'file') throw systemError('EBADF', 'fcntl');
    if (open.node.locked !== null && open.node.locked !== open) return false;
    open.node.locked = open;
    return true;
  }

  stat(path: string, done: Done<FileStats>): void {
    this.#name('stat', path, done, (place) => {
      if (place.device === null) return { size: 0, blocks: 0, dev: BARE_DEVICE, ino: place.inode };
      return statsOf(place.device, find(path, place, 'stat'));
    });
  }

  statfs(path: string, done: Done<FilesystemStats>): void {
    this.#name('statfs', path, done, () => this.statfsSync(path));
  }

  statfsSync(path: string): FilesystemStats {
    const { device } = this.#mounts.find(path);
    if (device === null) throw systemError('ENOENT', 'statfs', path);
    return {
      bsize: PAGE_BYTES,
      blocks: Math.floor(device.capacityBytes / PAGE_BYTES),
      bavail: device.pagesFree,
    };
  }

  readdir(path: string, _options: { withFileTypes: true }, done: Done<DirectoryEntry[]>): void {
    this.#name('readdir', path, done, (place) => {
      if (place.device === null) return [];
      const node = find(path, place, 'readdir');
      if (node.kind !== 'directory') throw systemError('ENOTDIR', 'readdir', path);
      return Array.from(node.entries, ([name, { kind }]) => ({
        name,
        isFile: () => kind !== 'directory',
        isDirectory: () => kind === 'directory',
      }));
    });
  }

  mkdir(path: string, _mode: number, done: Ended): void {
    this.#change('mkdir', path, done, (device, parent, name) => {
      if (parent.get(name)) throw systemError('EEXIST', 'mkdir', path);
      if (device.pagesFree === 0) throw systemError('ENOSPC', 'mkdir', path);
      parent.add(name, device.newDirectory());
    });
  }

  unlink(path: string, done: Ended): void {
    this.#change('unlink', path, done, (device, parent, name) => {
      const node = parent.get(name);
      if (!node) throw systemError('ENOENT', 'unlink', path);
      if (node.kind === 'directory') throw systemError('EISDIR', 'unlink', path);
      unlinkFrom(device, parent, name, node);
    });
  }

  rm(path: string, { recursive, force }: { recursive: boolean; force: boolean }, done: Ended): void {
    this.#change('rm', path, done, (device, parent, name) => {
      const node = parent.get(name);
      if (!node && force) return;
      if (!node) throw systemError('ENOENT', 'rm', path);
      if (node.kind === 'directory' && !recursive) throw systemError('EISDIR', 'rm', path);
      unlinkFrom(device, parent, name, node);
    });
  }

  /** Within one directory. */
  rename(source: string, target: string, done: Ended): void {
    const targetName = target.slice(target.lastIndexOf('/') + 1);
    this.#change('rename', source, done, (device, parent, name) => {
      if (!parent.get(name)) throw systemError('ENOENT', 'rename', source);
      if (source.slice(0, -name.length) !== target.slice(0, -targetName.length)) {
        throw systemError('EXDEV', 'rename', source);
      }
      const replaced = parent.get(targetName);
      if (replaced?.kind === 'file') dropName(device, replaced);
      parent.rename(name, targetName);
    });
  }

  /** Shares blocks where the device can. */
  copyFile(source: string, target: string, mode: number, done: Ended): void {
    this.#change('copyfile', target, done, (device, parent, name) => {
      const place = this.#mounts.find(source);
      const from = find(source, place, 'copyfile');
      if (from.kind !== 'file') throw systemError('EISDIR', 'copyfile', source);
      let to = parent.get(name);
      if ((mode & constants.COPYFILE_FICLONE_FORCE) !== 0 && !device.clones) {
        // What libuv does when the kernel refuses.
        if (to) unlinkFrom(device, parent, name, to);
        throw systemError('ENOTSUP', 'copyfile', source);
      }
      if (!to) {
        to = device.newFile();
        to.names = 1;
        parent.add(name, to);
      }
      if (to.kind !== 'file') throw systemError('EISDIR', 'copyfile', target);
      if (from.pages > device.pagesFree) throw systemError('ENOSPC', 'copyfile', target);
      to.cloneFrom(from);
    });
  }

  #openAt(path: string, place: Place, flags: number): number {
    const device = this.#deviceOf(path, place, 'open');
    let node = lookUp(device.root, place.rest, 'open', path);
    if (node && (flags & constants.O_CREAT) !== 0 && (flags & constants.O_EXCL) !== 0) {
      throw systemError('EEXIST', 'open', path);
    }
    if (!node) {
      if ((flags & constants.O_CREAT) === 0) throw systemError('ENOENT', 'open', path);
      const { parent, name } = parentOf(device, path, place, 'open');
      if (device.pagesFree === 0) throw systemError('ENOSPC', 'open', path);
      node = device.newFile();
      node.names = 1;
      parent.add(name, node);
    }
    if (node.kind === 'database') throw systemError('EACCES', 'open', path);
    const writable = (flags & (constants.O_WRONLY | constants.O_RDWR)) !== 0;
    if (node.kind === 'directory' && writable) throw systemError('EISDIR', 'open', path);
    if (node.kind === 'file') {
      if ((flags & constants.O_DIRECTORY) !== 0) throw systemError('ENOTDIR', 'open', path);
      if ((flags & constants.O_TRUNC) !== 0) node.truncate(0);
      node.opens++;
    }
    const synced = (flags & constants.O_DSYNC) !== 0;
    const fd = this.#next++;
    this.#open.set(fd, { fd, device, node, writable, synced, attachment: device.attachment });
    return fd;
  }

  #release(fd: number): void {
    const open = this.#open.get(fd)!;
    this.#open.delete(fd);
    if (open.node.kind !== 'file' || isVoid(open)) return;
    if (open.node.locked === open) open.node.locked = null;
    open.node.opens--;
    giveBack(open.device, open.node);
  }

  #sync(call: string, fd: number, done: Ended): void {
    const open = this.#open.get(fd);
    if (!open || isVoid(open)) {
      if (this.#operations.alive) done(systemError(open ? 'EIO' : 'EBADF', call));
      return;
    }
    const { node, device } = open;
    // One of the two kinds, and its sync with it.
    const sync = node.kind === 'file' ? begin(node) : begin(node);
    this.#operations.start({
      device,
      work: 'sync',
      call,
      run: () => {
        sync.finish();
        done(null);
      },
      fail: (error) => {
        sync.fail();
        done(error);
      },
      abandon: (random) => {
        if (random.chance(0.5)) sync.finish();
      },
    });
  }

  #fileOf(fd: number, writes: boolean, done: Counted): (OpenNode & { node: SimulatedFile }) | null {
    const open = this.#open.get(fd);
    if (open !== undefined && !isVoid(open) && (open.writable || !writes) && open.node instanceof SimulatedFile)
      return open as OpenNode & { node: SimulatedFile };
    if (!this.#operations.alive) return null;
    const code = open === undefined || (writes && !open.writable) ? 'EBADF' : isVoid(open) ? 'EIO' : 'EISDIR';
    done(systemError(code, writes ? 'write' : 'read'), 0);
    return null;
  }

  /** A call on a descriptor; `abandon` is what may have happened where the process ends first. */
  #descriptor<T>(
    call: string,
    work: DeviceWork,
    fd: number,
    done: (error: NodeJS.ErrnoException | null, result?: T) => void,
    perform: (open: OpenNode) => T,
    abandon?: (open: OpenNode) => void,
  ): void {
    const open = this.#open.get(fd);
    if (!open) {
      if (this.#operations.alive) done(systemError('EBADF', call));
      return;
    }
    const run = () => {
      if (isVoid(open) && call !== 'close') throw systemError('EIO', call);
      return perform(open);
    };
    this.#operations.start({
      device: open.device,
      work,
      call,
      run: () => settle(done, run),
      fail: done,
      abandon: (random) => {
        if (abandon && !isVoid(open) && random.chance(0.5)) settle(ignore, () => abandon(open));
      },
    });
  }

  /** A call on a path, which is looked up when the call ends. */
  #name<T>(
    call: string,
    path: string,
    done: (error: NodeJS.ErrnoException | null, result?: T) => void,
    run: (place: Place) => T,
    abandon?: (random: Random) => void,
  ): void {
    const { device } = this.#mounts.find(path);
    this.#operations.start({
      device: device ?? this.#mounts.bare,
      work: 'name',
      call,
      run: () => settle(done, () => run(this.#mounts.find(path))),
      fail: done,
      abandon,
    });
  }

  /** A call that changes a directory. */
  #change(
    call: string,
    path: string,
    done: Ended,
    change: (device: SimulatedDevice, parent: SimulatedDirectory, name: string) => void,
  ): void {
    const run = (place: Place) => {
      const device = this.#deviceOf(path, place, call);
      const { parent, name } = parentOf(device, path, place, call);
      change(device, parent, name);
    };
    this.#name(call, path, done, run, (random) => {
      if (random.chance(0.5)) settle(ignore, () => run(this.#mounts.find(path)));
    });
  }

  #deviceOf(path: string, place: Place, call: string): SimulatedDevice {
    if (place.device === null) throw systemError('ENOENT', call, path);
    return place.device;
  }
}

/** Its device was pulled out since, whatever is there now. */
function isVoid(open: OpenNode): boolean {
  return open.attachment !== open.device.attachment;
}

function ignore(): void {}

function settle<T>(done: (error: NodeJS.ErrnoException | null, result?: T) => void, run: () => T): void {
  let result: T;
  try {
    result = run();
  } catch (error) {
    done(error as NodeJS.ErrnoException);
    return;
  }
  done(null, result);
}

function begin<S>(node: { beginSync(): S; finishSync(sync: S): void; failSync(sync: S): void }): {
  finish(): void;
  fail(): void;
} {
  const sync = node.beginSync();
  return { finish: () => node.finishSync(sync), fail: () => node.failSync(sync) };
}

function statsOf(device: SimulatedDevice, node: SimulatedNode): FileStats {
  const size = node.kind === 'file' ? node.size : 0;
  const blocks = node.kind === 'file' ? node.pages * BLOCKS_PER_PAGE : 0;
  return { size, blocks, dev: device.number, ino: node.inode };
}

function lookUp(root: SimulatedDirectory, rest: string[], call: string, path: string): SimulatedNode | undefined {
  let node: SimulatedNode | undefined = root;
  for (const name of rest) {
    if (node === undefined) return undefined;
    if (node.kind !== 'directory') throw systemError('ENOTDIR', call, path);
    node = node.get(name);
  }
  return node;
}

function find(path: string, { device, rest }: Place, call: string): SimulatedNode {
  const node = device && lookUp(device.root, rest, call, path);
  if (!node) throw systemError('ENOENT', call, path);
  return node;
}

function parentOf(
  device: SimulatedDevice,
  path: string,
  { rest }: Place,
  call: string,
): { parent: SimulatedDirectory; name: string } {
  if (rest.length === 0) throw systemError('EBUSY', call, path);
  const parent = lookUp(device.root, rest.slice(0, -1), call, path);
  if (!parent) throw systemError('ENOENT', call, path);
  if (parent.kind !== 'directory') throw systemError('ENOTDIR', call, path);
  return { parent, name: rest[rest.length - 1]! };
}

function unlinkFrom(device: SimulatedDevice, parent: SimulatedDirectory, name: string, node: SimulatedNode): void {
  parent.remove(name);
  if (node.kind === 'file') dropName(device, node);
  if (node.kind === 'directory') {
    for (const [inner, child] of [...node.entries]) unlinkFrom(device, node, inner, child);
  }
}

function dropName(device: SimulatedDevice, file: SimulatedFile): void {
  file.names--;
  giveBack(device, file);
}

/** The pages of a file that nobody can reach any more are free. */
function giveBack(device: SimulatedDevice, file: SimulatedFile): void {
  if (file.names === 0 && file.opens === 0) device.account.pages -= file.pages;
}
