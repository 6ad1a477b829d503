import { constants } from 'node:fs';
import type { DirectoryEntry, Done, FileStats, Files, FilesystemStats } from '../../lib/store/files.js';
import type { Random } from '../helpers/random.js';
import type { SimulatedDevice } from './disk-device.js';
import type { SimulatedDirectory } from './disk-directory.js';
import { systemError } from './disk-error.js';
import { PAGE_BYTES } from './disk-file.js';
import type { Mounts, Place } from './disk-mounts.js';
import { type Ended, ignore, OpenFiles, settle } from './disk-open-files.js';
import type { Operations } from './disk-operations.js';
import { dropName, find, lookUp, parentOf, statsOf, unlinkFrom } from './disk-paths.js';

/** What `fs` answers for a directory that nothing is mounted on. */
const BARE_DEVICE = 0;

/** `node:fs` of one process, over the devices that its machine has mounted. Every call takes simulated time. */
export class SimulatedFiles extends OpenFiles implements Files {
  readonly #mounts: Mounts;

  constructor(mounts: Mounts, operations: Operations) {
    super(operations);
    this.#mounts = mounts;
  }

  open(path: string, flags: number, _mode: number, done: Done<number>): void {
    this.#name('open', path, done, (place) => this.#openAt(path, place, flags));
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
      const place = this.#find(source, 'copyfile');
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
    }
    return this.add(device, node, flags);
  }

  #find(path: string, call: string): Place {
    return this.anchored(path, call) ?? this.#mounts.find(path);
  }

  /** The device that a call on the path has to wait for. */
  #at(path: string): SimulatedDevice {
    try {
      return this.#find(path, '').device ?? this.#mounts.bare;
    } catch {
      // The call itself says so.
      return this.#mounts.bare;
    }
  }

  /** A call on a path, which is looked up when the call ends. */
  #name<T>(
    call: string,
    path: string,
    done: (error: NodeJS.ErrnoException | null, result?: T) => void,
    run: (place: Place) => T,
    abandon?: (random: Random) => void,
  ): void {
    this.operations.start({
      device: this.#at(path),
      work: 'name',
      call,
      run: () => settle(done, () => run(this.#find(path, call))),
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
      if (random.chance(0.5)) settle(ignore, () => run(this.#find(path, call)));
    });
  }

  #deviceOf(path: string, place: Place, call: string): SimulatedDevice {
    if (place.device === null) throw systemError('ENOENT', call, path);
    return place.device;
  }
}
