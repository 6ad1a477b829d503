import { constants } from 'node:fs';
import type { Done, FileStats } from '../../lib/store/files.js';
import type { DeviceWork, SimulatedDevice } from './disk-device.js';
import type { SimulatedDirectory } from './disk-directory.js';
import { systemError } from './disk-error.js';
import { SECTOR_BYTES, SimulatedFile } from './disk-file.js';
import type { Place } from './disk-mounts.js';
import type { Operations } from './disk-operations.js';
import { giveBack, statsOf } from './disk-paths.js';

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

export type Ended = (error: NodeJS.ErrnoException | null) => void;
type Counted = (error: NodeJS.ErrnoException | null, bytes: number) => void;

const FIRST_DESCRIPTOR = 3;
const ANCHORED = /^\/proc\/self\/fd\/(\d+)\/(.+)$/;

/** The descriptors of one process, and what can be done with them. */
export class OpenFiles {
  protected readonly operations: Operations;
  readonly #open = new Map<number, OpenNode>();
  #next = FIRST_DESCRIPTOR;

  constructor(operations: Operations) {
    this.operations = operations;
  }

  /** Descriptors that are open. */
  get descriptors(): number {
    return this.#open.size;
  }

  /** The process has ended. */
  kill(): void {
    for (const fd of [...this.#open.keys()]) this.#release(fd);
  }

  /** Where a path leads that begins at a descriptor of this process, of a device's root; null for any other path. */
  protected anchored(path: string, call: string): Place | null {
    const [, fd, rest] = ANCHORED.exec(path) ?? [];
    if (fd === undefined || rest === undefined) return null;
    const open = this.#open.get(Number(fd));
    if (!open) throw systemError('ENOENT', call, path);
    if (isVoid(open)) throw systemError('EIO', call, path);
    return { device: open.device, inode: open.node.inode, rest: rest.split('/') };
  }

  /** Null where it is not there any more. */
  deviceOf(fd: number): SimulatedDevice | null {
    const open = this.#open.get(fd);
    return open === undefined || isVoid(open) ? null : open.device;
  }

  /** Opens what was found. */
  protected add(device: SimulatedDevice, node: SimulatedFile | SimulatedDirectory, flags: number): number {
    if (node.kind === 'file') node.opens++;
    const writable = (flags & (constants.O_WRONLY | constants.O_RDWR)) !== 0;
    const synced = (flags & constants.O_DSYNC) !== 0;
    const fd = this.#next++;
    this.#open.set(fd, { fd, device, node, writable, synced, attachment: device.attachment });
    return fd;
  }

  /** The descriptor is free at once, however the call ends. */
  close(fd: number, done: Ended): void {
    const open = this.#open.get(fd);
    if (!open) {
      if (this.operations.alive) done(systemError('EBADF', 'close'));
      return;
    }
    this.#release(fd);
    this.operations.start({ device: open.device, work: 'name', call: 'close', run: () => done(null), fail: done });
  }

  closeSync(fd: number): void {
    if (!this.operations.alive) return;
    if (!this.#open.has(fd)) throw systemError('EBADF', 'close');
    this.#release(fd);
  }

  read(fd: number, target: Buffer, offset: number, length: number, position: number, done: Counted): void {
    const open = this.#fileOf(fd, false, done);
    if (open === null) return;
    const { node, device } = open;
    this.operations.start({
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
    this.operations.start({
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

  /** Into the page cache at once: it does not hang, and takes no time. */
  writeSync(fd: number, source: Buffer, offset: number, length: number, position: number): number {
    const open = this.#open.get(fd);
    // A process that has ended writes nothing, and is not told.
    if (!this.operations.alive) return length;
    if (!open?.writable || !(open.node instanceof SimulatedFile)) throw systemError('EBADF', 'write');
    if (isVoid(open)) throw systemError('EIO', 'write');
    const fault = open.device.faultOf('write');
    if (fault !== null && fault !== 'hang') throw systemError(fault, 'write');
    const written = open.node.write(source, offset, length, position, open.device.pagesFree);
    if (written === 0 && length > 0) throw systemError('ENOSPC', 'write');
    return written;
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
      if (this.operations.alive) done(systemError(open ? 'EIO' : 'EBADF', call));
      return;
    }
    const { node, device } = open;
    // One of the two kinds, and its sync with it.
    const sync = node.kind === 'file' ? begin(node) : begin(node);
    this.operations.start({
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
    if (!this.operations.alive) return null;
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
      if (this.operations.alive) done(systemError('EBADF', call));
      return;
    }
    const run = () => {
      if (isVoid(open)) throw systemError('EIO', call);
      return perform(open);
    };
    this.operations.start({
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
}

/** Its device was pulled out since, whatever is there now. */
function isVoid(open: OpenNode): boolean {
  return open.attachment !== open.device.attachment;
}

export function ignore(): void {}

export function settle<T>(done: (error: NodeJS.ErrnoException | null, result?: T) => void, run: () => T): void {
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
