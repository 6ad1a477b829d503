import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { type SpareContent, spareChanges } from '../database/spare-pages.js';
import { OperationError } from '../fuse/errno.js';

/** Handle numbers are reserved this many at a time, so that one is never given twice, whatever happens. */
const BLOCK = 65536;
const RESERVED_FILE = 'reserved';
const RESERVED_BYTES = 512;
const DATABASE_PREFIX = 'boot-';

/** Handles are numbered from 1. */
const SPARE: SpareContent<number, HandleRecord> = {
  key: (number) => -1 - number,
  value: (bytes) => ({ vdi: 0, flags: 0, generation: 0, unique: '0'.repeat(bytes) }),
};

export interface HandleRecord {
  vdi: number;
  /** Flags of open(2). */
  flags: number;
  /** The writer generation that the image had then: another host may take the image over since. */
  generation: number;
  /** The kernel's number of the request that opened it, in decimal: one that comes again finds its handle. */
  unique: string;
}

/**
 * The open handles of this host's mount, stored so that the next worker on the same mount knows them.
 *
 * What is stored survives the worker, and means nothing after the mount has gone. So nothing of it is synced, which
 * makes it fast; after a reboot it is not even looked at, since a power cut may have torn it. Only the numbers that
 * were reserved are kept for ever.
 */
export class Handles {
  readonly #directory: string;
  readonly #database: RootDatabase<HandleRecord, number>;
  readonly #handles = new Map<number, HandleRecord>();
  readonly #opens = new Map<number, number>();
  /** Released, but still stored: that they are gone could not be. */
  readonly #released = new Set<number>();
  #next: number;
  #reserved: number;

  /** Opens, or makes, the table in `directory`. `bootId` is the kernel's. */
  constructor(directory: string, bootId: string) {
    this.#directory = directory;
    const name = DATABASE_PREFIX + bootId;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const entry of readdirSync(directory)) {
      if (entry !== name && entry !== RESERVED_FILE) rmSync(join(directory, entry), { recursive: true });
    }
    // What an earlier process reserved and did not use is left out: it may have used it and not stored it.
    this.#reserved = readReserved(join(directory, RESERVED_FILE));
    this.#next = this.#reserved;
    // At once, so that the file is there when the disk is full.
    if (this.#reserved === 1) this.#reserve(1 + BLOCK);
    this.#database = open<HandleRecord, number>({
      path: join(directory, name),
      noSubdir: false,
      encoding: 'json',
      noSync: true,
      // With it, the database makes promises of its own that nobody can await.
      eventTurnBatching: false,
    });
    for (const { key, value } of this.#database.getRange({ start: 1 })) this.#remember(key, value);
    this.#keepSpare(join(directory, name));
  }

  /** How many handles of the image are open. */
  opens(vdi: number): number {
    return this.#opens.get(vdi) ?? 0;
  }

  /** By image how many handles are open, of at most so many images. */
  openImages(max: number): Record<string, number> {
    return Object.fromEntries([...this.#opens].slice(0, max));
  }

  get size(): number {
    return this.#handles.size;
  }

  /** The writer generation that the image had when the handle was opened; of one that is not known, none. */
  generation(handle: number): number {
    return this.#handles.get(handle)?.generation ?? Number.POSITIVE_INFINITY;
  }

  get(handle: number): HandleRecord | undefined {
    return this.#handles.get(handle);
  }

  /**
   * A new handle, stored; the same one again for a request that is sent again. The image counts as open from the call
   * on. Throws OperationError ENOSPC or EIO where it cannot be stored.
   */
  add(vdi: number, flags: number, request: { unique: bigint; resent: boolean }, generation: number): number {
    const unique = String(request.unique);
    if (request.resent) {
      for (const [handle, record] of this.#handles) {
        if (record.unique === unique && record.vdi === vdi) return handle;
      }
    }
    const record = { vdi, flags, generation, unique };
    try {
      if (this.#next === this.#reserved) this.#reserve(this.#reserved + BLOCK);
      this.#store(() => this.#database.putSync(this.#next, record));
    } catch (error) {
      throw refusal(error);
    }
    this.#remember(this.#next, record);
    return this.#next++;
  }

  /** Forgets a handle; answers its image, or null where it is not known (released before by a worker that died). */
  remove(handle: number): number | null {
    const record = this.#handles.get(handle);
    if (!record) return null;
    this.#handles.delete(handle);
    const left = this.opens(record.vdi) - 1;
    if (left > 0) this.#opens.set(record.vdi, left);
    else this.#opens.delete(record.vdi);
    this.#released.add(handle);
    try {
      this.#store(() => undefined);
    } catch (error) {
      // Without space even that cannot be stored; it is with the next change.
      if (refusal(error).code !== 'ENOSPC') throw refusal(error);
    }
    return record.vdi;
  }

  /** Forgets all: the mount they belonged to is gone. */
  clear(): void {
    this.#handles.clear();
    this.#opens.clear();
    this.#released.clear();
    // Not everything in it: after a start, an empty database does not find its spare pages.
    this.#database.transactionSync(() => {
      for (const handle of [...this.#database.getKeys({ start: 1 })]) this.#database.removeSync(handle);
    });
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  /** Sees to it that handles can be stored on a full disk; nothing where there is no space for that. */
  #keepSpare(directory: string): void {
    try {
      for (const change of spareChanges(directory, this.#database, [], SPARE)) this.#database.transactionSync(change);
    } catch (error) {
      if (refusal(error).code !== 'ENOSPC') throw refusal(error);
    }
  }

  /** Carries out a change, and what could not be carried out before. */
  #store(change: () => unknown): void {
    this.#database.transactionSync(() => {
      for (const handle of this.#released) this.#database.removeSync(handle);
      change();
    });
    this.#released.clear();
  }

  #remember(handle: number, record: HandleRecord): void {
    this.#handles.set(handle, record);
    this.#opens.set(record.vdi, this.opens(record.vdi) + 1);
  }

  /** Durably, which takes its time, but once for many. */
  #reserve(end: number): void {
    const path = join(this.#directory, RESERVED_FILE);
    const bytes = Buffer.from(`${String(end).padEnd(RESERVED_BYTES - 1)}\n`);
    if (!this.#overwrite(path, bytes)) this.#replace(path, bytes);
    this.#reserved = end;
  }

  /** One sector in place, which is written whole or not at all, and needs no space; false where it is not there. */
  #overwrite(path: string, bytes: Buffer): boolean {
    let file: number;
    try {
      file = openSync(path, 'r+');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
    try {
      if (fstatSync(file).size !== bytes.length) return false;
      writeSync(file, bytes, 0, bytes.length, 0);
      fsyncSync(file);
      return true;
    } finally {
      closeSync(file);
    }
  }

  #replace(path: string, bytes: Buffer): void {
    const file = openSync(`${path}.new`, 'w', 0o600);
    try {
      writeSync(file, bytes);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(`${path}.new`, path);
    const directory = openSync(this.#directory, 'r');
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
  }
}

function readReserved(path: string): number {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 1;
    throw error;
  }
  const reserved = Number(text);
  if (!Number.isSafeInteger(reserved) || reserved < 1) throw new OperationError('EIO', `${path} is damaged`);
  return reserved;
}

/** The database gives the errno as a number or in words. */
function refusal(error: unknown): OperationError {
  const { code, message } = error as { code?: unknown; message: string };
  const full = code === 'ENOSPC' || code === constants.errno.ENOSPC || /No space left|MDB_MAP_FULL/.test(message);
  return new OperationError(full ? 'ENOSPC' : 'EIO', `the table of open files could not be written: ${message}`);
}
