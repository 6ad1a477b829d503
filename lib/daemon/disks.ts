import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { formatSize } from '../cli/size.js';
import { AdministrationError, type DiskState, type DiskStatus } from '../control/administration.js';
import { Disk, type DiskIdentity, eraseDisk, OBJECT_BYTES, readRecord, StoreError } from '../store/index.js';
import { abortable } from './abortable.js';
import { DiskDirectories, type DiskEntry } from './disk-directories.js';
import { HostCluster, type HostClusterOptions } from './host-cluster.js';
import type { StateDirectory } from './state.js';

/** The directory below the state directory that is the disk of a host without others. */
const BUILT_IN = 'disk';

export interface HostDisksOptions extends Omit<HostClusterOptions, 'host' | 'state' | 'disks' | 'inheritsHandles'> {
  readonly state: StateDirectory;
  /** Directories to use, absolute: those that are not known are taken into use. */
  readonly directories: readonly string[];
  /** Start although a disk cannot be opened: guests are there already, and the other disks can serve. */
  readonly tolerant: boolean;
}

interface HostDisk {
  entry: DiskEntry;
  /** Null where it could not be opened. */
  readonly disk: Disk | null;
  /** Of its file system, as st_dev. */
  readonly device: number;
  readonly problem: string | null;
}

/** This host's disks: opens them, takes new ones into use, and lets go of those that are to be removed. */
export class HostDisks {
  readonly cluster: HostCluster;
  readonly #options: HostDisksOptions;
  readonly #directories: DiskDirectories;
  readonly #disks: Map<number, HostDisk>;
  /** Those that are open, as the cluster's part of the host sees them. */
  readonly #open: Disk[];

  private constructor(options: HostDisksOptions, parts: Parts) {
    this.#options = options;
    this.#directories = parts.directories;
    this.#disks = parts.disks;
    this.#open = parts.open;
    this.cluster = parts.cluster;
    for (const disk of this.#open) this.#follow(disk);
  }

  /** Opens all disks, makes new ones of directories that were not known, and registers them. Throws StoreError. */
  static async open(options: HostDisksOptions): Promise<HostDisks> {
    const { state, coordination } = options;
    const { host } = state.identity;
    const directories = await DiskDirectories.open(coordination, host);
    const disks = new Map<number, HostDisk>();
    const made: DiskEntry[] = [];
    try {
      for (const directory of newDirectories(options, directories)) made.push(await directories.add(directory));
      for (const entry of directories.entries) {
        disks.set(entry.number, await openDisk(entry, options, directories));
      }
      // Each keeps that itself now, until a map has shown it absent: before, a start that came to nothing would lose it.
      if (!options.tolerant) await state.host.forgetFailedDisks();
      const open = [...disks.values()].flatMap(({ disk }) => disk ?? []);
      const cluster = await HostCluster.open({
        ...{ ...options, host, state: state.host, disks: open },
        // Guests are there already.
        inheritsHandles: options.tolerant,
      });
      if (!options.tolerant) await cluster.forgive();
      return new HostDisks(options, { directories, disks, open, cluster });
    } catch (error) {
      for (const { disk } of disks.values()) await disk?.close();
      // A start that is refused leaves nothing behind: the directories were empty.
      for (const { number, directory } of made) {
        if (disks.has(number)) await eraseDisk(directory);
        await directories.forget(number);
      }
      throw error;
    }
  }

  /** Begins to serve; resolves when this host does. */
  async start(): Promise<void> {
    for (const { entry } of this.#disks.values()) {
      if (entry.state !== 'removing') continue;
      this.#options.log.info(`going on with removing disk ${entry.number}`);
      await this.cluster.setStanding(entry.number, 'removing');
    }
    await this.cluster.start();
  }

  async close(): Promise<void> {
    await this.cluster.close();
    for (const { disk } of this.#disks.values()) await disk?.close();
  }

  /** Bytes that images can use in all, and that are left for them. */
  space(): { total: number; free: number } {
    let [total, free] = [0, 0];
    const counted = new Set<number>();
    for (const { entry, disk, device } of this.#disks.values()) {
      if (!disk || disk.failed !== null || entry.state === 'removing') continue;
      // Directories may share a file system, and then its space.
      if (counted.has(device)) continue;
      counted.add(device);
      const report = disk.space.report();
      total += report.total;
      free += Math.max(0, report.free - report.reserve);
    }
    return { total, free };
  }

  status(): DiskStatus[] {
    return [...this.#disks.values()].map((each) => this.#statusOf(each));
  }

  find(which: number | string): DiskEntry | null {
    const directory = typeof which === 'string' ? resolve(which) : null;
    for (const { entry } of this.#disks.values()) {
      if (entry.number === which || entry.directory === directory) return entry;
    }
    return null;
  }

  /** Takes a new directory into use. Its share of the groups is moved there in the background. */
  async add(directory: string): Promise<DiskEntry> {
    const entry = await this.#directories.add(resolve(directory));
    try {
      const opened = await openDisk(entry, { ...this.#options, tolerant: false }, this.#directories);
      this.#disks.set(entry.number, { ...opened, entry: this.#directories.entry(entry.number)! });
      this.#open.push(opened.disk!);
      this.#follow(opened.disk!);
    } catch (error) {
      await this.#directories.forget(entry.number);
      throw error;
    }
    await this.cluster.diskAdded(this.#disks.get(entry.number)!.disk!);
    return entry;
  }

  /** Marks a disk as one to be emptied. */
  async startRemoval(number: number): Promise<void> {
    const { disk, entry } = this.#disks.get(number)!;
    const others = [...this.#disks.values()].filter(
      (other) => other.disk && other.entry.state === 'ok' && other.entry !== entry,
    );
    const { network } = this.#options;
    if (others.length === 0 && network === null) {
      throw new AdministrationError('INVALID', `disk ${number} is the last one`, 'add another disk first');
    }
    if (network === null && (!disk || disk.failed !== null)) {
      throw new AdministrationError(
        'INVALID',
        `disk ${number} does not work, and holds the only copy of its data`,
        'repair it first',
      );
    }
    await this.#setState(number, 'removing');
    // Among several hosts others take it, and one that is full is stood in for.
    if (network === null) await this.#checkSpace(number, disk!);
    await this.cluster.setStanding(number, 'removing');
  }

  async #checkSpace(number: number, { space, index }: Disk): Promise<void> {
    const { free } = this.space();
    const report = space.report();
    const used = Math.min(report.total - report.free, index.objects * OBJECT_BYTES);
    if (used <= free) return;
    await this.#setState(number, 'ok');
    const sizes = `the other disks have ${formatSize(free)} free, and disk ${number} holds up to ${formatSize(used)}`;
    throw new AdministrationError('NO_SPACE', sizes, 'add another disk first');
  }

  /** Resolves when no group has to leave `number` any more (`leaving`) or is on its way to it. */
  async settled(
    number: number,
    leaving: boolean,
    report: (done: number, total: number) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const count = () => {
      if (!leaving) return this.cluster.toMove;
      const { held, coming } = this.cluster.useOf(number);
      return held + coming + (this.cluster.uses(number) ? 1 : 0);
    };
    let total = count();
    for (let left = total; left > 0; left = count()) {
      total = Math.max(total, left);
      report(total - left, total);
      await abortable(this.cluster.nextChange(), signal);
    }
    report(total, total);
  }

  /** Lets an emptied disk go, and removes from its directory what made it one of ours. */
  async finishRemoval(number: number): Promise<void> {
    const { disk, entry } = this.#disks.get(number)!;
    await this.cluster.forgetDisk(number);
    if (disk) {
      const at = this.#open.indexOf(disk);
      if (at >= 0) this.#open.splice(at, 1);
      await disk.close();
    }
    this.#disks.delete(number);
    await this.#directories.forget(number);
    await this.#options.state.host.forgetDisk(number);
    await eraseDisk(entry.directory);
  }

  #follow(disk: Disk): void {
    disk.on('failed', (reason) => {
      this.#options.log.error(`disk ${disk.number} (${disk.directory}) was taken out: ${reason}`);
    });
    disk.on('resized', (total) => {
      this.#options.log.warn(`disk ${disk.number} (${disk.directory}) has ${total} bytes now`);
      this.cluster.diskResized(disk).catch((error) => {
        this.#options.log.error(`the new size of disk ${disk.number} was not stored: ${error}`);
      });
    });
  }

  async #setState(number: number, state: DiskEntry['state']): Promise<void> {
    await this.#directories.setState(number, state);
    this.#disks.get(number)!.entry = this.#directories.entry(number)!;
  }

  #statusOf({ entry, disk, problem }: HostDisk): DiskStatus {
    const report = disk?.space.report();
    const failed = problem ?? disk?.failed ?? null;
    const { held, coming } = this.cluster.useOf(entry.number);
    let state: DiskState = 'ok';
    if (failed !== null) state = 'failed';
    else if (entry.state === 'removing') state = 'removing';
    else if (report?.state === 'full') state = 'full';
    else if (coming > 0 && held === 0) state = 'adding';
    const full = state === 'full' ? 'no space for new data' : null;
    return {
      number: entry.number,
      directory: entry.directory,
      size: report?.total ?? 0,
      used: report ? report.total - report.free : 0,
      state,
      problem: failed ?? full,
    };
  }
}

/** The built-in directory below the state directory serves a host that has no other disk. */
function newDirectories(options: HostDisksOptions, directories: DiskDirectories): string[] {
  const known = directories.entries.map((entry) => entry.directory);
  const builtIn = join(options.state.path, BUILT_IN);
  const wanted = options.directories.filter((directory) => directory !== builtIn || known.length === 0);
  if (wanted.includes(builtIn) && known.length === 0) options.state.directory(BUILT_IN);
  return [...new Set(wanted)].filter((directory) => !known.includes(directory));
}

interface Parts {
  readonly directories: DiskDirectories;
  readonly disks: Map<number, HostDisk>;
  readonly open: Disk[];
  readonly cluster: HostCluster;
}

async function openDisk(entry: DiskEntry, options: HostDisksOptions, directories: DiskDirectories): Promise<HostDisk> {
  const { cluster, host } = options.state.identity;
  const identity = { cluster, host, disk: entry.number };
  const hasFailed = options.state.host.failedDisks.includes(entry.number);
  // A start is the administrator's word on what failed before; a restart of the worker is not.
  if (hasFailed && options.tolerant) {
    return { entry, disk: null, device: -1, problem: 'it failed before this worker was started' };
  }
  try {
    if (entry.state === 'new') await formatUnlessDone(entry.directory, identity);
    const { host: remembered } = options.state;
    const opens = remembered.opensOf(entry.number);
    const disk = await Disk.open(entry.directory, { ...identity, opens }, { replicated: true, hasFailed });
    await remembered.storeOpens(entry.number, disk.record.opens);
    if (entry.state === 'new') await directories.setState(entry.number, 'ok');
    const { dev: device } = await stat(entry.directory);
    return { entry: directories.entry(entry.number)!, disk, device, problem: null };
  } catch (error) {
    if (entry.state === 'new' || !(error instanceof StoreError) || !options.tolerant) throw error;
    options.log.error(`disk ${entry.number}: ${error.message}`);
    return { entry, disk: null, device: -1, problem: error.message };
  }
}

/** A process may have died between making a disk and telling so. */
async function formatUnlessDone(directory: string, identity: DiskIdentity): Promise<void> {
  const found = await readRecord(directory).catch(() => null);
  const { cluster, host, disk } = identity;
  if (found?.cluster === cluster && found.host === host && found.disk === disk) return;
  await Disk.format(directory, identity);
}
