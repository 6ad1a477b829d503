import { constants } from 'node:fs';
import { join } from 'node:path';
import type { Descriptors } from './descriptors.js';
import { fileName, OBJECT } from './entry.js';
import type { FileIo } from './file-io.js';
import type { Flusher } from './flusher.js';
import type { LayerState } from './layer-state.js';
import type { ObjectIndex } from './object-index.js';
import { OpenFile } from './open-file.js';
import type { Serials } from './serials.js';
import { codeOf, StoreError } from './store-error.js';
import type { Trash } from './trash.js';

/** Those parts of a disk that deal with its files. */
export interface FileParts {
  readonly io: FileIo;
  readonly index: ObjectIndex;
  readonly descriptors: Descriptors;
  readonly flusher: Flusher;
  readonly serials: Serials;
  readonly trash: Trash;
}

/** The object files of a disk: opens them for who works on them, makes new ones, and lets them go. */
export class ObjectFiles {
  readonly #directory: string;
  readonly #parts: FileParts;
  readonly #layerOf: (family: number, layer: number) => LayerState;
  readonly #opening = new Map<number, Promise<OpenFile | null>>();
  readonly #directories = new Map<number, Promise<void>>();

  constructor(directory: string, parts: FileParts, layerOf: (family: number, layer: number) => LayerState) {
    this.#directory = directory;
    this.#parts = parts;
    this.#layerOf = layerOf;
  }

  /**
   * The open file of an object, held: the caller calls `release`. Null where the index has come to hold another file
   * meanwhile. Throws EIO where the file of an object that was flushed is missing.
   */
  async acquire(pg: number, family: number, index: number, layer: number, serial: number): Promise<OpenFile | null> {
    let file = this.#parts.descriptors.get(serial);
    while (!file) {
      let opening = this.#opening.get(serial);
      if (!opening) {
        opening = this.#open(pg, family, index, layer, serial).finally(() => this.#opening.delete(serial));
        this.#opening.set(serial, opening);
      }
      if ((await opening) === null) return null;
      // Asked for again: the cache may have closed it before this caller's turn came.
      file = this.#parts.descriptors.get(serial);
    }
    file.users++;
    return file;
  }

  async #open(pg: number, family: number, index: number, layer: number, serial: number): Promise<OpenFile | null> {
    const path = this.path(pg, family, index, serial);
    let fd: number;
    try {
      fd = await this.#parts.io.open(path, constants.O_RDWR);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
      if (this.#parts.index.find(family, index, layer) !== OBJECT || this.#parts.index.foundSerial !== serial)
        return null;
      // A power cut takes files that were never flushed, and what was in them.
      if (!this.#parts.index.isActive(family, index, layer)) throw new StoreError('EIO', `${path} is missing`);
      await this.#ensureDirectory(pg);
      fd = await this.#make(path, constants.O_RDWR | constants.O_CREAT);
      // At once: a reader does not make it dirty, so no flush would, and the next power cut would take it again.
      await this.syncGroup(pg);
    }
    const file = new OpenFile(fd, path, pg, family, index, serial, this.#layerOf(family, layer));
    // Given up while it was being opened: the reader that is here has it once more, then it is closed.
    file.forgotten = !this.#holds(family, index, serial);
    this.#parts.descriptors.add(file);
    return file;
  }

  #holds(family: number, index: number, serial: number): boolean {
    const objects = this.#parts.index.scan(family, index, index + 1, Number.MAX_SAFE_INTEGER);
    return objects.some((object) => object.kind === OBJECT && object.serial === serial);
  }

  /** A new empty file for an object, held; the index does not have it yet. */
  async create(pg: number, family: number, index: number, layer: number): Promise<OpenFile> {
    await this.#ensureDirectory(pg);
    const serial = await this.#parts.serials.next();
    const path = this.path(pg, family, index, serial);
    const fd = await this.#make(path, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC);
    const file = new OpenFile(fd, path, pg, family, index, serial, this.#layerOf(family, layer));
    file.fresh = true;
    file.users = 1;
    this.#parts.descriptors.add(file);
    return file;
  }

  async #make(path: string, flags: number): Promise<number> {
    try {
      return await this.#parts.io.open(path, flags);
    } catch (error) {
      throw codeOf(error) === 'ENOENT' ? this.#parts.io.fail(`${path} cannot be made: its directory vanished`) : error;
    }
  }

  release(file: OpenFile): void {
    file.users--;
    this.#parts.descriptors.settle(file);
  }

  /** The index does not have the file (any more, as committed): closes it after its last use, and unlinks it. */
  dispose(pg: number, family: number, index: number, serial: number): void {
    const file = this.#parts.descriptors.get(serial);
    if (file) this.#parts.flusher.forget(file);
    this.#parts.trash.add(this.path(pg, family, index, serial));
  }

  path(pg: number, family: number, index: number, serial: number): string {
    return join(this.groupDirectory(pg), fileName(family, index, serial));
  }

  groupDirectory(pg: number): string {
    return join(this.#directory, 'objects', String(pg));
  }

  /** Makes the names of the group's files durable. */
  syncGroup(pg: number): Promise<void> {
    return this.#parts.io.syncDirectory(this.groupDirectory(pg));
  }

  #ensureDirectory(pg: number): Promise<void> {
    let made = this.#directories.get(pg);
    if (!made) {
      made = this.#makeDirectory(pg);
      this.#directories.set(pg, made);
      made.catch(() => this.#directories.delete(pg));
    }
    return made;
  }

  async #makeDirectory(pg: number): Promise<void> {
    // Synced even where it is found: an earlier process may have made it and not come to sync it.
    await this.#parts.io.makeDirectory(this.groupDirectory(pg));
    await this.#parts.io.syncDirectory(join(this.#directory, 'objects'));
  }
}
