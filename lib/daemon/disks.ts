import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { formatSize } from '../cli/size.js';
import { type ClusterMap, finishMove, initialMap, type MapDisk, nextMap, useOfDisk } from '../cluster/map.js';
import { MapKeeper } from '../cluster/map-keeper.js';
import { familyOffset, groupAt, PGS_DEFAULT } from '../cluster/placement.js';
import { AdministrationError, type DiskState, type DiskStatus } from '../control/administration.js';
import type { Coordination } from '../coordination/coordination.js';
import { type GroupPlacement, LocalObjects } from '../replication/local-objects.js';
import { Disk, type DiskIdentity, eraseDisk, OBJECT_BYTES, readRecord, StoreError } from '../store/index.js';
import { type DiskEntry, HostRecordKeeper } from './host-record.js';
import type { Logger } from './log.js';
import type { StateDirectory } from './state.js';

/** Groups that are moved at the same time. */
const MOVES_MAX = 4;
/** The directory below the state directory that is the disk of a host without others. */
const BUILT_IN = 'disk';
/** After a move failed (a full target), the next attempt. */
const MOVE_RETRY_MS = 5000;

export interface HostDisksOptions {
  state: StateDirectory;
  coordination: Coordination;
  log: Logger;
  /** Directories to use, absolute: those that are not known are taken into use. */
  directories: readonly string[];
  name: string;
  zone: string;
  /** Start although a disk cannot be opened: guests are there already, and the other disks can serve. */
  tolerant: boolean;
}

interface HostDisk {
  entry: DiskEntry;
  /** Null where it could not be opened. */
  disk: Disk | null;
  /** Of its file system, as st_dev. */
  device: number;
  problem: string | null;
}

/** This host's disks: opens them, keeps each group on one of them, and moves groups when disks come and go. */
export class HostDisks {
  readonly objects: LocalObjects;
  readonly #options: HostDisksOptions;
  readonly #record: HostRecordKeeper;
  readonly #keeper: MapKeeper;
  readonly #disks: Map<number, HostDisk>;
  readonly #changed = new Set<() => void>();
  readonly #moving = new Map<number, Promise<void>>();
  readonly #ending = new AbortController();
  #planning: Promise<void> = Promise.resolve();
  #retry: NodeJS.Timeout | null = null;

  private constructor(options: HostDisksOptions, parts: Parts) {
    this.#options = options;
    this.#record = parts.record;
    this.#keeper = parts.keeper;
    this.#disks = parts.disks;
    this.objects = parts.objects;
    for (const { disk } of this.#disks.values()) if (disk) this.#follow(disk);
  }

  /** Opens all disks, makes new ones of directories that were not known. Throws StoreError. */
  static async open(options: HostDisksOptions): Promise<HostDisks> {
    const { state, coordination } = options;
    const record = await HostRecordKeeper.open(coordination, state.identity.host, options);
    const keeper = new MapKeeper(coordination);
    const disks = new Map<number, HostDisk>();
    const made: DiskEntry[] = [];
    try {
      for (const directory of newDirectories(options, record)) made.push(await record.addDisk(directory));
      for (const entry of record.current.disks) disks.set(entry.number, await openDisk(entry, options, record));
      const opened = [...disks.values()].flatMap(({ disk }) => disk ?? []);
      const map = (await keeper.open()) ?? (await keeper.create(initialMap(mapDisks(disks), PGS_DEFAULT)));
      const offsets = new Map<number, number>();
      let placements = placementsOf(map);
      keeper.onChange((changed) => {
        placements = placementsOf(changed);
      });
      const groupCount = map.groups.length;
      const objects = await LocalObjects.open({
        disks: opened,
        groupCount,
        groupOf: (family, index) => {
          let offset = offsets.get(family);
          if (offset === undefined) {
            offset = familyOffset(family, groupCount);
            offsets.set(family, offset);
          }
          return groupAt(offset, index, groupCount);
        },
        groups: (pg) => placements[pg]!,
        epoch: () => keeper.current.epoch,
      });
      return new HostDisks(options, { record, keeper, disks, objects });
    } catch (error) {
      for (const { disk } of disks.values()) await disk?.close();
      // A start that is refused leaves nothing behind: the directories were empty.
      for (const { number, directory } of made) {
        if (disks.has(number)) await eraseDisk(directory);
        await record.forgetDisk(number);
      }
      keeper.close();
      throw error;
    }
  }

  /** Begins to move what is not where it belongs. */
  async start(): Promise<void> {
    for (const { entry } of this.#disks.values()) {
      if (entry.state === 'removing') this.#options.log.info(`going on with removing disk ${entry.number}`);
    }
    await this.#plan();
  }

  async close(): Promise<void> {
    if (this.#retry) clearTimeout(this.#retry);
    this.#ending.abort();
    await this.#planning;
    await Promise.all(this.#moving.values());
    this.#keeper.close();
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

  groups(): { total: number; healthy: number; moving: number } {
    const { groups, moves } = this.#keeper.current;
    const healthy = groups.filter((number) => this.#usable(number)).length;
    return { total: groups.length, healthy, moving: Object.keys(moves).length };
  }

  /** Groups that are not yet where they belong: those still to leave a disk, and those under way. */
  pending(): number {
    const map = this.#keeper.current;
    let pending = Object.keys(map.moves).length;
    for (const { entry } of this.#disks.values()) {
      if (entry.state === 'removing') pending += useOfDisk(map, entry.number).held;
    }
    return pending;
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
    const entry = await this.#record.addDisk(resolve(directory));
    try {
      const opened = await openDisk(entry, { ...this.#options, tolerant: false }, this.#record);
      this.#disks.set(entry.number, { ...opened, entry: this.#record.entry(entry.number)! });
      this.objects.addDisk(opened.disk!);
      this.#follow(opened.disk!);
    } catch (error) {
      await this.#record.forgetDisk(entry.number);
      throw error;
    }
    void this.#plan();
    return entry;
  }

  /** Marks a disk as one to be emptied. */
  async startRemoval(number: number): Promise<void> {
    const { disk, entry } = this.#disks.get(number)!;
    const others = [...this.#disks.values()].filter(
      (other) => other.disk && other.entry.state === 'ok' && other.entry !== entry,
    );
    if (others.length === 0) {
      throw new AdministrationError('INVALID', `disk ${number} is the last one`, 'add another disk first');
    }
    if (!disk || disk.failed !== null) {
      throw new AdministrationError(
        'INVALID',
        `disk ${number} does not work, and holds the only copy of its data`,
        'repair it first',
      );
    }
    await this.#setState(number, 'removing');
    const { free } = this.space();
    const report = disk.space.report();
    const used = Math.min(report.total - report.free, disk.index.objects * OBJECT_BYTES);
    if (used > free) {
      await this.#setState(number, 'ok');
      const sizes = `the other disks have ${formatSize(free)} free, and disk ${number} holds up to ${formatSize(used)}`;
      throw new AdministrationError('NO_SPACE', sizes, 'add another disk first');
    }
    void this.#plan();
  }

  /** Resolves when no group has to leave `number` any more (`leaving`) or is on its way to it. */
  async settled(
    number: number,
    leaving: boolean,
    report: (done: number, total: number) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const count = () => {
      const { held, coming } = useOfDisk(this.#keeper.current, number);
      return leaving ? held + coming : this.#toMove();
    };
    let total = count();
    for (let left = total; left > 0; left = count()) {
      total = Math.max(total, left);
      report(total - left, total);
      await this.#nextChange(signal);
    }
    report(total, total);
  }

  /** Lets an emptied disk go, and removes from its directory what made it one of ours. */
  async finishRemoval(number: number): Promise<void> {
    const { disk, entry } = this.#disks.get(number)!;
    if (disk) {
      await this.objects.removeDisk(number);
      await disk.close();
    }
    this.#disks.delete(number);
    await this.#record.forgetDisk(number);
    await eraseDisk(entry.directory);
  }

  #toMove(): number {
    const map = this.#keeper.current;
    const planned = nextMap(map, mapDisks(this.#disks), map.groups.length);
    return Object.keys(planned.moves).length;
  }

  #usable(number: number): boolean {
    const disk = this.#disks.get(number)?.disk;
    return disk != null && disk.failed === null;
  }

  #follow(disk: Disk): void {
    disk.on('failed', (reason) => {
      this.#options.log.error(`disk ${disk.number} (${disk.directory}) was taken out: ${reason}`);
      void this.#plan();
    });
    disk.on('resized', (total) => {
      this.#options.log.warn(`disk ${disk.number} (${disk.directory}) has ${total} bytes now`);
      void this.#plan();
    });
  }

  async #setState(number: number, state: DiskEntry['state']): Promise<void> {
    await this.#record.setDiskState(number, state);
    this.#disks.get(number)!.entry = this.#record.entry(number)!;
  }

  #statusOf({ entry, disk, problem }: HostDisk): DiskStatus {
    const report = disk?.space.report();
    const failed = problem ?? disk?.failed ?? null;
    const { held, coming } = useOfDisk(this.#keeper.current, entry.number);
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

  // One plan at a time; each starts the moves that it finds and is made again when one of them ends.
  #plan(): Promise<void> {
    this.#planning = this.#planning.then(async () => {
      if (this.#ending.signal.aborted) return;
      try {
        const disks = mapDisks(this.#disks);
        const map = await this.#keeper.change((current) => nextMap(current, disks, MOVES_MAX));
        for (const group of Object.keys(map.moves).map(Number)) {
          if (!this.#moving.has(group)) this.#moving.set(group, this.#move(group));
        }
      } catch (error) {
        this.#options.log.error(`planning moves failed: ${error}`);
        this.#planLater();
      }
      for (const wake of [...this.#changed]) wake();
    });
    return this.#planning;
  }

  #planLater(): void {
    if (this.#retry || this.#ending.signal.aborted) return;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      void this.#plan();
    }, MOVE_RETRY_MS);
  }

  /** Never throws. */
  async #move(group: number): Promise<void> {
    try {
      await this.objects.moveGroup(group, { signal: this.#ending.signal });
      await this.#keeper.change((map) => finishMove(map, group));
      this.#moving.delete(group);
      void this.#plan();
    } catch (error) {
      this.#moving.delete(group);
      if (this.#ending.signal.aborted) return;
      this.#options.log.warn(`moving group ${group} failed, will be tried again: ${(error as Error).message}`);
      this.#planLater();
    }
  }

  #nextChange(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    return new Promise((done, fail) => {
      const end = () => {
        this.#changed.delete(end);
        signal.removeEventListener('abort', end);
        if (signal.aborted) fail(signal.reason);
        else done();
      };
      this.#changed.add(end);
      signal.addEventListener('abort', end);
    });
  }
}

/** The built-in directory below the state directory serves a host that has no other disk. */
function newDirectories(options: HostDisksOptions, record: HostRecordKeeper): string[] {
  const known = record.current.disks.map((entry) => entry.directory);
  const builtIn = join(options.state.path, BUILT_IN);
  const wanted = options.directories.filter((directory) => directory !== builtIn || known.length === 0);
  if (wanted.includes(builtIn) && known.length === 0) options.state.directory(BUILT_IN);
  return [...new Set(wanted)].filter((directory) => !known.includes(directory));
}

interface Parts {
  record: HostRecordKeeper;
  keeper: MapKeeper;
  disks: Map<number, HostDisk>;
  objects: LocalObjects;
}

/** Asked for with each object, so made once a map. */
function placementsOf(map: ClusterMap): GroupPlacement[] {
  return map.groups.map((disk, group) => ({ disk, target: map.moves[group] ?? null }));
}

function mapDisks(disks: ReadonlyMap<number, HostDisk>): MapDisk[] {
  return [...disks.values()].map(({ entry, disk }) => ({
    number: entry.number,
    weight: disk?.space.report().total ?? 0,
    state: !disk || disk.failed !== null ? 'failed' : entry.state === 'removing' ? 'removing' : 'ok',
  }));
}

async function openDisk(entry: DiskEntry, options: HostDisksOptions, record: HostRecordKeeper): Promise<HostDisk> {
  const { cluster, host } = options.state.identity;
  const identity = { cluster, host, disk: entry.number };
  try {
    if (entry.state === 'new') await formatUnlessDone(entry.directory, identity);
    const disk = await Disk.open(entry.directory, identity);
    if (entry.state === 'new') await record.setDiskState(entry.number, 'ok');
    const { dev: device } = await stat(entry.directory);
    return { entry: record.entry(entry.number)!, disk, device, problem: null };
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
