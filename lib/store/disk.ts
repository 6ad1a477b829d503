import { EventEmitter } from 'node:events';
import { constants } from 'node:fs';
import { join } from 'node:path';
import { ActivityLog } from './activity-log.js';
import { Anchor } from './anchor.js';
import { bootOf, isSameBoot } from './attachment.js';
import { ChunkPool } from './chunk-pool.js';
import { CHECK_INTERVAL_MS, FILES_OPEN_MAX, FORMAT_VERSION, OBJECT_BYTES, OPERATIONS_MAX } from './constants.js';
import { Descriptors } from './descriptors.js';
import { lockDirectory, openRecord } from './disk-lock.js';
import { HOLE, OBJECT } from './entry.js';
import { FileIo } from './file-io.js';
import { type DirectoryEntry, type Files, promised, syncDirectory } from './files.js';
import { Flusher } from './flusher.js';
import { GroupRecords } from './group-records.js';
import { Health } from './health.js';
import { type DiskIdentity, type DiskRecord, type ExpectedDisk, writeRecord } from './identity.js';
import { LayerState } from './layer-state.js';
import { settleFiles } from './lost-files.js';
import { ObjectFiles } from './object-files.js';
import { ObjectIndex } from './object-index.js';
import { PairTable } from './pair-table.js';
import { dropUnsynced, syncInherited } from './predecessor.js';
import { Replaced } from './replaced.js';
import { Serials } from './serials.js';
import { Space } from './space.js';
import { messageOf, StoreError } from './store-error.js';
import { sweep } from './sweep.js';
import { SYSTEM, type System } from './system.js';
import { pause } from './time.js';
import { ToDo } from './to-do.js';
import { Trash } from './trash.js';
import { WriteRing } from './write-ring.js';

/** How long the index of a failed disk is waited for. */
const INDEX_CLOSE_MS = 1_000;

export interface DiskOptions {
  /** Descriptors kept open; above DIRTY_FILES_LIMIT. */
  filesOpenMax?: number;
  /** File operations in the kernel at once: the disk's share of the pool. */
  operationsMax?: number;
  /**
   * A write waits until its object's activity record survives a power cut. Needed where there are other copies, which
   * could differ from this one after it.
   */
  durableActivity?: boolean;
  /**
   * Other disks have copies: whose they are decides what is retired (retirement.ts), and accepted writes are noted in the
   * ring. Activity is durable unless told otherwise.
   */
  replicated?: boolean;
  /** Of this disk alone, for its ring; the disk's own unless set. In memory (/dev/shm), a slow disk holds nobody up. */
  ringDirectory?: string;
  /**
   * It failed under an earlier process: what was not synced then may be gone, as after a power cut. True until an open of
   * it has succeeded, which keeps it as `wasAway`.
   */
  hasFailed?: boolean;
  system?: System;
}

export interface DiskEvents {
  /** The disk was taken out; every operation answers DISK_FAILED. Once. */
  failed: [reason: string];
  /** Its size in bytes has changed. */
  resized: [total: number];
  /** `space.state` has changed. */
  room: [];
}

/** One layer of a view of an image; see Chain of object I/O. */
export interface LayerView {
  readonly layer: number;
  readonly limit: number;
}

/** What an index shows: found by `Disk.resolve`. */
export interface Resolved {
  layer: number;
  serial: number;
  /** Bytes of the object, from its start, that show. */
  visible: number;
}

/**
 * One disk of this host: a directory with object files and their index. This class opens and closes it, hands out open
 * files, and knows the state that the object operations beside it share. Who changes an index of an image holds that
 * index's lock; none is taken here.
 */
export class Disk extends EventEmitter<DiskEvents> {
  readonly directory: string;
  readonly record: DiskRecord;
  /** See DiskOptions. Who sets it makes the index durable once it is. */
  durableActivity: boolean;
  readonly replicated: boolean;
  readonly system: System;
  readonly io: FileIo;
  readonly index: ObjectIndex;
  readonly descriptors: Descriptors;
  readonly flusher: Flusher;
  readonly activity: ActivityLog;
  readonly groups: GroupRecords;
  readonly toDo: ToDo;
  readonly serials: Serials;
  readonly space: Space;
  readonly trash: Trash;
  readonly replaced: Replaced;
  readonly files: ObjectFiles;
  /** Where it is replicated. */
  ring: WriteRing | null = null;
  readonly chunks = new ChunkPool();
  readonly layers = new PairTable<LayerState>();
  /** Set by `resolve`, good until its next call. */
  readonly resolved: Resolved = { layer: 0, serial: 0, visible: 0 };
  /** Cleared by the first clone that the file system refuses. */
  clones = true;
  /**
   * Its device was away, or it failed, under the present kernel: what was not synced may be gone, of which the boot id says nothing to
   * others. So it stays, for later processes too, until `seenAbsent`.
   */
  wasAway = false;
  #boot = '';
  readonly anchor: Anchor;
  readonly #lock: number;
  readonly #ringDirectory: string;
  readonly #health: Health;
  readonly #ending = new AbortController();
  /** What an earlier process left in the page cache. No flush answers before. */
  #inherited: Promise<void> | null = null;
  #sweeping: Promise<void> = Promise.resolve();
  #closing: Promise<void> | null = null;

  private constructor(anchor: Anchor, directory: string, record: DiskRecord, lock: number, options: DiskOptions) {
    super();
    this.directory = directory;
    this.record = record;
    this.replicated = options.replicated ?? false;
    this.durableActivity = options.durableActivity ?? this.replicated;
    this.anchor = anchor;
    this.#lock = lock;
    this.#ringDirectory = options.ringDirectory ?? directory;
    this.system = options.system ?? SYSTEM;
    const { files, time } = this.system;
    const { operationsMax = OPERATIONS_MAX } = options;
    this.io = new FileIo(operationsMax, (reason) => this.emit('failed', reason), files, anchor);
    this.index = new ObjectIndex(directory, (error) => this.fail(`the index failed: ${messageOf(error)}`), this.system);
    this.descriptors = new Descriptors(options.filesOpenMax ?? FILES_OPEN_MAX, (file) => {
      // A failed close of a file that is synced, or of no more use, has nothing to say.
      this.io.close(file.fd).catch(() => {});
    });
    this.flusher = new Flusher(this.io, this.index, this.descriptors, (pg) => this.files.groupDirectory(pg));
    this.activity = new ActivityLog(this.io, this.index, this.flusher, time, this.replicated);
    this.groups = new GroupRecords(this.index);
    this.toDo = new ToDo(this.index, this.groups);
    this.serials = new Serials(this.index);
    this.space = new Space(
      directory,
      this.io,
      (total) => this.emit('resized', total),
      () => this.emit('room'),
    );
    this.trash = new Trash(this.io, this.index);
    this.replaced = new Replaced(this);
    this.files = new ObjectFiles(directory, this, (family, layer) => this.layer(family, layer));
    this.#health = new Health(directory, record, anchor, this.io, this.system);
  }

  /**
   * Makes a new disk of an empty directory (a fresh file system's lost+found may be in it, and what an attempt that was
   * broken off has left). Throws StoreError NOT_EMPTY, NOT_FOUND.
   */
  static async format(directory: string, identity: DiskIdentity, system: System = SYSTEM): Promise<void> {
    const { files } = system;
    let entries: DirectoryEntry[];
    try {
      entries = await list(files, directory);
    } catch (error) {
      throw new StoreError('NOT_FOUND', `${directory} cannot be read: ${messageOf(error)}`, error);
    }
    for (const entry of entries) {
      if (await mayStay(files, directory, entry)) continue;
      throw new StoreError(
        'NOT_EMPTY',
        `${directory} is not empty (${entry.name}): give an empty directory, or remove what is in it`,
      );
    }
    if (!entries.some(({ name }) => name === 'objects')) {
      await promised((done) => files.mkdir(join(directory, 'objects'), 0o700, done));
    }
    await syncDirectory(files, directory);
    await writeRecord(directory, { format: FORMAT_VERSION, ...identity, opens: 0 }, files);
  }

  /**
   * Opens a disk, which no other process may have open. Throws StoreError NOT_FOUND, NOT_A_DISK, NEWER_FORMAT,
   * OTHER_CLUSTER, OTHER_HOST, OTHER_DISK, OLD_IMAGE, READ_ONLY, LOCKED.
   */
  static async open(directory: string, expected: ExpectedDisk, options: DiskOptions = {}): Promise<Disk> {
    const { system = SYSTEM } = options;
    const { files } = system;
    const lock = await lockDirectory(directory, expected, files);
    let anchor: Anchor | null = null;
    let disk: Disk | null = null;
    try {
      const record = await openRecord(directory, expected, files);
      const attachment = await system.attachment(directory);
      const flags = constants.O_RDONLY | constants.O_DIRECTORY;
      anchor = new Anchor(directory, await promised<number>((done) => files.open(directory, flags, 0, done)));
      disk = new Disk(anchor, directory, record, lock, options);
      await disk.#start(attachment, options.hasFailed ?? false);
      return disk;
    } catch (error) {
      disk?.ring?.close();
      if (disk) await disk.index.close();
      if (anchor) files.closeSync(anchor.fd);
      files.closeSync(lock);
      throw error;
    }
  }

  /** `attachment`: of its device, before the index was opened. */
  async #start(attachment: string, hasFailed: boolean): Promise<void> {
    // What was opened by its path is of the same mount as the anchor.
    await this.#health.start(attachment);
    const bootId = this.system.bootId();
    const boot = bootOf(bootId, attachment);
    const known = this.index.bootId !== '';
    const clean = this.index.clean || !known;
    const rebooted = known && (hasFailed || !isSameBoot(this.index.bootId, boot));
    this.wasAway = known && isSameBoot(this.index.bootId, bootId) && (rebooted || this.index.away);
    this.#boot = boot;
    await this.#keepIndex(known);
    await this.space.refresh();
    await this.index.keepSpare();
    // Before the boot id is stored, which says that all of this boot was noted.
    if (this.replicated) this.ring = await WriteRing.open(this.io, this.#ringDirectory, bootId, rebooted || !known);
    if (rebooted) await this.#settleReboot();
    // Last: when this process ends before, the next one does all of that again.
    await this.index.commit(() => {
      this.index.setBoot(boot, false);
      this.index.setAway(this.wasAway);
    });
    this.replaced.inherit();
    await this.serials.reserve();
    this.activity.load((family, layer) => this.layer(family, layer));
    if (!clean && !rebooted) {
      this.#inherited = syncInherited(this, this.system).then(async () => {
        await this.replaced.settleInherited();
        this.#adoptActive();
        this.#sweep();
      });
      // Flushes report it.
      this.#inherited.catch(() => {});
    } else {
      await this.replaced.settleInherited();
      this.#adoptActive();
      if (!clean) this.#sweep();
    }
    this.#health.every(CHECK_INTERVAL_MS, async () => {
      await this.space.refresh();
      await this.activity.retireIdle(this.layers.values());
      await this.index.storeFigures();
      await this.index.keepSpare();
    });
  }

  /** Takes back what a power cut has torn. */
  async #settleReboot(): Promise<void> {
    let disposeReplaced = () => {};
    await this.index.commit(() => {
      const { handled, dispose } = this.replaced.putBackWithin();
      dropUnsynced(this.index, handled);
      disposeReplaced = dispose;
    });
    disposeReplaced();
    await settleFiles(this);
  }

  /** Makes the names of the index's files durable, before it has anything to lose. Throws NOT_A_DISK. */
  async #keepIndex(known: boolean): Promise<void> {
    const objects = join(this.directory, 'objects');
    if (!known && (await this.io.list(objects)).length > 0) {
      throw new StoreError(
        'NOT_A_DISK',
        `${this.directory} has lost its index: bring the directory 'index' back, or empty the disk and add it anew`,
      );
    }
    // Each time: an earlier process may have made them and not come to sync them.
    await this.io.syncDirectory(join(this.directory, 'index'));
    await this.io.call<void>((done) => this.io.files.fsync(this.anchor.fd, done));
  }

  /** What an earlier process wrote is on disk as far as it ever will be. */
  #adoptActive(): void {
    for (const layer of this.layers.values()) layer.flushCompleted = Math.max(layer.flushCompleted, 0);
  }

  #sweep(): void {
    if (this.#ending.signal.aborted) return;
    // Leaves are no harm, and an error that matters fails the disk.
    this.#sweeping = sweep(this, this.#ending.signal).catch(() => {});
  }

  get number(): number {
    return this.record.disk;
  }

  /** Why the disk was taken out, or null. */
  get failed(): string | null {
    return this.io.failure?.message ?? null;
  }

  /** Takes the disk out; answers the error. */
  fail(reason: string): StoreError {
    return this.io.fail(reason);
  }

  /** State of one layer on this disk, made when there is none. */
  layer(family: number, layer: number): LayerState {
    let state = this.layers.get(family, layer);
    if (!state) {
      state = new LayerState(family, layer);
      this.layers.set(family, layer, state);
    }
    return state;
  }

  /** Bytes that a layer's files have; never 0 for a layer with objects. */
  usage(family: number, layer: number): number {
    const state = this.layers.get(family, layer);
    if (state && !this.io.failure) this.flusher.measure(state);
    return this.index.usage.bytesOf(family, layer);
  }

  /** Drops the state of a layer whose objects are all gone. */
  forgetLayer(family: number, layer: number): void {
    const state = this.layers.get(family, layer);
    if (state?.unused && this.index.count(family, layer) === 0) this.layers.delete(family, layer);
  }

  /**
   * Finds the newest layer that has something at `index`, beginning at position `first` of the view. True where an
   * object shows, then described by `resolved`; false where the index reads as zeros.
   */
  resolve(family: number, layers: readonly LayerView[], index: number, first: number): boolean {
    let visible = OBJECT_BYTES;
    for (let position = 0; position < layers.length; position++) {
      const { layer, limit } = layers[position]!;
      if (position >= first) {
        const kind = this.index.find(family, index, layer);
        if (kind === HOLE) return false;
        if (kind === OBJECT) {
          this.resolved.layer = layer;
          this.resolved.serial = this.index.foundSerial;
          this.resolved.visible = visible;
          return true;
        }
      }
      // A layer's limit says how far what lies below it shows; its own data it does not cut.
      visible = Math.min(visible, limit - index * OBJECT_BYTES);
      if (visible <= 0) return false;
    }
    return false;
  }

  /**
   * Resolves when every write to the layers that was answered before the call is durable. Rejects with DISK_FAILED.
   */
  async flush(family: number, layers: readonly LayerView[]): Promise<void> {
    await this.syncInherited();
    const states: LayerState[] = [];
    for (const { layer } of layers) {
      const state = this.layers.get(family, layer);
      if (state) states.push(state);
    }
    await this.flusher.flush(states);
  }

  /** As `flush`, of all layers of all families, and what pulls put in place. */
  async flushAll(): Promise<void> {
    await this.syncInherited();
    await this.flusher.flush([...this.layers.values()]);
  }

  /** Resolves when what an earlier process wrote is on disk. Rejects with DISK_FAILED. */
  async syncInherited(): Promise<void> {
    if (this.io.failure) throw this.io.failure;
    if (!this.#inherited) return;
    await this.#inherited;
    this.#inherited = null;
  }

  /** Nobody counts any more on what the disk had before it was away. Rejects with DISK_FAILED. */
  async seenAbsent(): Promise<void> {
    if (!this.wasAway) return;
    await this.index.commit(() => this.index.setAway(false));
    this.wasAway = false;
  }

  /** Flushes everything and closes the disk. The caller has no operation under way. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#ending.abort();
    await this.#health.stop();
    await this.#sweeping;
    const { files } = this.system;
    try {
      if (!this.io.failure) await this.#settle();
    } finally {
      this.ring?.close();
      for (const file of this.descriptors.files()) if (file.users === 0) files.closeSync(file.fd);
      // After a commit that failed the environment may wait for ever.
      await Promise.race([this.index.close(), ...(this.io.failure ? [pause(this.system.time, INDEX_CLOSE_MS)] : [])]);
      files.closeSync(this.anchor.fd);
      files.closeSync(this.#lock);
    }
  }

  async #settle(): Promise<void> {
    await this.#inherited;
    const layers = [...this.layers.values()];
    await this.flusher.flush(layers);
    await this.activity.retireAll(layers);
    await this.replaced.idle();
    await this.trash.drain();
    await this.index.commit(() => this.index.setBoot(this.#boot, true));
    await this.index.durable();
  }
}

/** Whether it may be in a directory that is to become a disk. */
async function mayStay(files: Files, directory: string, entry: DirectoryEntry): Promise<boolean> {
  if (entry.isFile()) return entry.name === 'disk.json.new';
  if (!entry.isDirectory()) return false;
  if (entry.name === 'lost+found') return true;
  return entry.name === 'objects' && (await list(files, join(directory, entry.name))).length === 0;
}

function list(files: Files, path: string): Promise<DirectoryEntry[]> {
  return promised((done) => files.readdir(path, { withFileTypes: true }, done));
}
