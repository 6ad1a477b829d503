import { join } from 'node:path';
import { BINARY, type BinaryEnvironment, type BinaryTable } from '../database/environment.js';
import { type SpareContent, spareChanges } from '../database/spare-pages.js';
import { FIELD_MAX } from './constants.js';
import {
  type ActiveRecord,
  checkEntry,
  decodeActive,
  decodeEntry,
  decodeKey,
  decodeNumber,
  type Entry,
  encodeActive,
  encodeEntry,
  encodeKey,
  encodeNumber,
  KEY_BYTES,
  type Key,
  NO_END,
  NOTHING,
  OBJECT,
  readEnd,
  writeKey,
} from './entry.js';
import { SYSTEM, type System } from './system.js';
import { Usage } from './usage.js';

export interface IndexedObject extends Key, Entry {}

const BOOT_KEY = Buffer.from('boot');
const CLEAN_KEY = Buffer.from('clean');
const AWAY_KEY = Buffer.from('away');
const SERIAL_KEY = Buffer.from('serial');
const SPARE: SpareContent<Buffer, Buffer> = {
  key: (number) => Buffer.from(`spare ${number}`),
  value: (bytes) => Buffer.alloc(bytes),
};
const DONE = Promise.resolve();

/**
 * The disk's index: which objects it has and in which file each is, which of them are active, and which are marked
 * unsynced. Lookups are synchronous.
 *
 * A commit is seen by every lookup once its promise resolves, and survives the process from then on; `durable` makes it
 * survive a power cut. The environment compares the kernel's boot id itself and goes back to the last durable commit
 * after a reboot. One that fails is not tried again: the disk is lost, and callers get what `onFailure` answers.
 */
export class ObjectIndex {
  readonly #environment: BinaryEnvironment;
  readonly #objects: BinaryTable;
  readonly #active: BinaryTable;
  readonly #unsynced: BinaryTable;
  /** Epochs above that of the entry, of objects that were active when it was raised. */
  readonly #raised: BinaryTable;
  /** Whether it has anything, which mostly it has not. */
  #anyRaised: boolean;
  /** Those that others keep here. */
  readonly #tables: BinaryTable[] = [];
  readonly #usage: BinaryTable;
  readonly #blocks: BinaryTable;
  readonly #state: BinaryTable;
  readonly #directory: string;
  readonly #system: System;
  readonly #key = Buffer.allocUnsafe(KEY_BYTES);
  readonly #endKey = Buffer.allocUnsafe(KEY_BYTES);
  readonly #onFailure: (error: unknown) => Error;
  readonly #failed: Promise<never>;
  #reject: (error: unknown) => void = () => {};
  /** The space that files have. */
  readonly usage: Usage;
  /** Commits made so far. */
  commits = 0;
  #commitsDurable = 0;

  /** Serial of the last object that `find` found. */
  foundSerial = 0;
  /** Epoch of the last entry that `find` found. */
  foundModified = 0;
  /** End of the last object that `find` found, NO_END where its file tells. */
  foundEnd = NO_END;

  constructor(directory: string, onFailure: (error: unknown) => Error, system: System = SYSTEM) {
    this.#directory = directory;
    this.#system = system;
    this.#environment = system.openEnvironment(join(directory, 'index'));
    this.#objects = this.#environment.openDB('objects', BINARY);
    this.#active = this.#environment.openDB('active', BINARY);
    this.#unsynced = this.#environment.openDB('unsynced', BINARY);
    this.#raised = this.#environment.openDB('raised', BINARY);
    this.#anyRaised = [...this.#raised.getKeys({ limit: 1 })].length > 0;
    this.#usage = this.#environment.openDB('usage', BINARY);
    this.#blocks = this.#environment.openDB('blocks', BINARY);
    this.usage = new Usage(this.#usage, this.#blocks);
    this.#state = this.#environment.openDB('state', BINARY);
    this.#onFailure = onFailure;
    this.#failed = new Promise((_, reject) => {
      this.#reject = reject;
    });
    // Whoever waits in `durable` sees the rejection; nobody may be waiting.
    this.#failed.catch(() => {});
  }

  /** A further table, which is changed within `commit`. To be called once for each, before the first commit. */
  table(name: string): BinaryTable {
    const table = this.#environment.openDB(name, BINARY);
    this.#tables.push(table);
    return table;
  }

  /**
   * NOTHING, OBJECT or HOLE; the `found` fields then hold the rest of the entry until the next call.
   * Answers so, and not with an object, because every read and write comes here.
   */
  find(family: number, index: number, layer: number): number {
    const bytes = this.#objects.getBinaryFast(writeKey(this.#key, family, index, layer));
    if (bytes === undefined) return NOTHING;
    const kind = checkEntry(bytes);
    this.foundSerial = bytes.readUIntBE(1, 6);
    this.foundModified = bytes.readUIntBE(7, 6);
    this.foundEnd = readEnd(bytes);
    return kind;
  }

  /**
   * Entries of the family in the order of the image, at most `limit`: from (`from`, `layer`) on, this one included, to
   * index `to`, that one not.
   */
  scan(family: number, from: number, to: number, limit: number, layer = 0): IndexedObject[] {
    if (from >= to) return [];
    const range = this.#objects.getRange({ start: encodeKey(family, from, layer), end: endKey(family, to), limit });
    return Array.from(range, ({ key, value }) => ({ ...decodeKey(key), ...decodeEntry(value) }));
  }

  /** As `scan`, downwards from (`to`, `layer`), this one not included. */
  scanReverse(family: number, to: number, limit: number, layer = 0): IndexedObject[] {
    const range = this.#objects.getRange({
      start: to > FIELD_MAX ? endKey(family, to) : encodeKey(family, to, layer),
      exclusiveStart: true,
      end: encodeKey(family, 0, 0),
      inclusiveEnd: true,
      reverse: true,
      limit,
    });
    return Array.from(range, ({ key, value }) => ({ ...decodeKey(key), ...decodeEntry(value) }));
  }

  /** All entries of one index, in the order of layers. The way to look at many indexes that are far apart. */
  layersAt(family: number, index: number): IndexedObject[] {
    const found: IndexedObject[] = [];
    const end = index < FIELD_MAX ? writeKey(this.#endKey, family, index + 1, 0) : endKey(family, FIELD_MAX + 1);
    for (const { key, value } of this.#objects.getRange({ start: writeKey(this.#key, family, index, 0), end })) {
      const { kind, serial, modified, end } = decodeEntry(value);
      found.push({ family, index, layer: key.readUInt32BE(8), kind, serial, modified, end });
    }
    return found;
  }

  /** Whether any layer of the family has an entry at `index`. */
  has(family: number, index: number): boolean {
    for (const _ of this.#objects.getKeys({
      start: encodeKey(family, index, 0),
      end: endKey(family, index + 1),
      limit: 1,
    })) {
      return true;
    }
    return false;
  }

  /** The lowest index of the family that is `from` or above and has an entry, or null. */
  nextIndex(family: number, from: number): number | null {
    if (from > FIELD_MAX) return null;
    const range = { start: encodeKey(family, from, 0), end: endKey(family, FIELD_MAX + 1), limit: 1 };
    for (const key of this.#objects.getKeys(range)) return decodeKey(key).index;
    return null;
  }

  /** The lowest family that is `from` or above, or null. */
  nextFamily(from: number): number | null {
    if (from > FIELD_MAX) return null;
    for (const key of this.#objects.getKeys({ start: encodeKey(from, 0, 0), limit: 1 })) return decodeKey(key).family;
    return null;
  }

  /** Objects, holes not counted, of all layers on this disk. */
  get objects(): number {
    return this.usage.objects;
  }

  /** Objects, holes not counted, of a layer on this disk. */
  count(family: number, layer: number): number {
    return this.usage.objectsOf(family, layer);
  }

  /** Every active object. */
  *activeObjects(): Generator<Key & ActiveRecord> {
    for (const { key, value } of this.#active.getRange()) yield { ...decodeKey(key), ...decodeActive(value) };
  }

  /** The epoch that an entry which is not active counts as modified in; `modified` is what the entry says. */
  raisedModified(family: number, index: number, layer: number, modified: number): number {
    if (!this.#anyRaised) return modified;
    const bytes = this.#raised.getBinaryFast(writeKey(this.#key, family, index, layer));
    return bytes === undefined ? modified : Math.max(modified, bytes.readUIntBE(0, 6));
  }

  /** Every object marked unsynced, with the serial of the file that the mark is for. */
  unsyncedObjects(): { key: Key; serial: number }[] {
    return Array.from(this.#unsynced.getRange(), ({ key, value }) => ({
      key: decodeKey(key),
      serial: decodeNumber(value),
    }));
  }

  isActive(family: number, index: number, layer: number): boolean {
    return this.#active.getBinaryFast(writeKey(this.#key, family, index, layer)) !== undefined;
  }

  isUnsynced(family: number, index: number, layer: number): boolean {
    return this.#unsynced.getBinaryFast(writeKey(this.#key, family, index, layer)) !== undefined;
  }

  /**
   * Carries out what `change` puts and removes, all or nothing. Resolves when it is seen and survives the process.
   */
  async commit(change: () => void): Promise<void> {
    try {
      let number = 0;
      const committed = this.#environment.batch(() => {
        this.usage.begin();
        change();
        number = this.usage.end();
      });
      this.commits++;
      await committed;
      this.usage.committed(number);
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /**
   * Sees to it that the index can be changed on a full disk. Does nothing where there is no space for that. To be called
   * now and then, for the index grows.
   */
  async keepSpare(): Promise<void> {
    const own = [this.#objects, this.#active, this.#unsynced, this.#raised, this.#usage, this.#blocks];
    const others = [...own, ...this.#tables];
    const statfs = (directory: string) => this.#system.files.statfsSync(directory);
    for (const change of spareChanges(this.#directory, this.#state, others, SPARE, statfs)) {
      await this.commit(change);
      await this.durable();
    }
  }

  /** Stores the figures of the files that were measured. They go with any other commit too. */
  async storeFigures(): Promise<void> {
    if (this.usage.pending > 0) await this.commit(() => {});
  }

  /** Resolves when all commits made so far survive a power cut. */
  durable(): Promise<void> {
    return this.#commitsDurable === this.commits ? DONE : this.#flush();
  }

  async #flush(): Promise<void> {
    const { commits } = this;
    try {
      // The environment's own promise stays pending for ever after a commit that failed.
      await Promise.race([this.#environment.flushed, this.#failed]);
    } catch (error) {
      throw this.#fail(error);
    }
    if (commits > this.#commitsDurable) this.#commitsDurable = commits;
  }

  #fail(error: unknown): Error {
    // What went wrong comes in a promise of its own, which would otherwise end the process.
    const detail = (error as { commitError?: Promise<unknown> }).commitError;
    detail?.catch(() => {});
    this.#reject(error);
    return this.#onFailure(error);
  }

  /** Within `commit`. A file that the layer does not have at the index yet comes with the `blocks` that it has. */
  put(family: number, index: number, layer: number, entry: Entry, blocks = 0): void {
    const before = this.find(family, index, layer) === OBJECT ? this.foundSerial : 0;
    if (before !== entry.serial) {
      if (before !== 0) this.usage.remove(family, layer, before);
      if (entry.kind === OBJECT) this.usage.add(family, layer, entry.serial, blocks);
    }
    void this.#objects.put(writeKey(this.#key, family, index, layer), encodeEntry(entry));
  }

  /** Within `commit`. Takes the entry's mark with it, and its activity record unless told otherwise. */
  remove(family: number, index: number, layer: number, keepActive = false): void {
    const before = this.find(family, index, layer);
    if (before === NOTHING) return;
    if (before === OBJECT) this.usage.remove(family, layer, this.foundSerial);
    const key = writeKey(this.#key, family, index, layer);
    void this.#objects.remove(key);
    if (!keepActive) void this.#active.remove(key);
    void this.#unsynced.remove(key);
    if (this.#anyRaised) void this.#raised.remove(key);
  }

  /** Within `commit`. */
  putActive(family: number, index: number, layer: number, record: ActiveRecord): void {
    void this.#active.put(writeKey(this.#key, family, index, layer), encodeActive(record));
  }

  /**
   * Within `commit`. The entry counts as modified in that epoch at least. Kept beside it because it is told by who does
   * not hold the index, and so must not touch the entry.
   */
  putRaised(family: number, index: number, layer: number, modified: number): void {
    this.#anyRaised = true;
    void this.#raised.put(writeKey(this.#key, family, index, layer), encodeNumber(modified));
  }

  /** Within `commit`, by who puts an entry that says all. */
  removeRaised(family: number, index: number, layer: number): void {
    if (this.#anyRaised) void this.#raised.remove(writeKey(this.#key, family, index, layer));
  }

  /** Within `commit`. */
  removeActive(family: number, index: number, layer: number): void {
    void this.#active.remove(writeKey(this.#key, family, index, layer));
  }

  /** Within `commit`. The entry is dropped after a reboot while its file `serial` is marked so. */
  markUnsynced(family: number, index: number, layer: number, serial: number): void {
    void this.#unsynced.put(writeKey(this.#key, family, index, layer), encodeNumber(serial));
  }

  /** Within `commit`. */
  unmarkUnsynced(family: number, index: number, layer: number): void {
    void this.#unsynced.remove(writeKey(this.#key, family, index, layer));
  }

  /** Boot id that the disk was last open under; empty for a new disk. */
  get bootId(): string {
    return this.#state.get(BOOT_KEY)?.toString() ?? '';
  }

  /** Whether it was closed in order. */
  get clean(): boolean {
    return this.#state.get(CLEAN_KEY)?.[0] === 1;
  }

  /** The first serial that was never reserved. */
  get serial(): number {
    const bytes = this.#state.get(SERIAL_KEY);
    return bytes ? decodeNumber(bytes) : 1;
  }

  /** Within `commit`. */
  setBoot(bootId: string, clean: boolean): void {
    void this.#state.put(BOOT_KEY, Buffer.from(bootId));
    void this.#state.put(CLEAN_KEY, Buffer.from([clean ? 1 : 0]));
  }

  /** See Disk.wasAway. */
  get away(): boolean {
    return this.#state.get(AWAY_KEY)?.[0] === 1;
  }

  /** Within `commit`. */
  setAway(away: boolean): void {
    void this.#state.put(AWAY_KEY, Buffer.from([away ? 1 : 0]));
  }

  /** Within `commit`. */
  setSerial(serial: number): void {
    void this.#state.put(SERIAL_KEY, encodeNumber(serial));
  }

  close(): Promise<void> {
    return this.#environment.close();
  }
}

/** The first key behind the family's indexes below `to`. */
function endKey(family: number, to: number): Buffer {
  if (to <= FIELD_MAX) return encodeKey(family, to, 0);
  return family < FIELD_MAX ? encodeKey(family + 1, 0, 0) : Buffer.alloc(KEY_BYTES + 1, 0xff);
}
