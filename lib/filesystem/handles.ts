import { open, type RootDatabase } from 'lmdb';

/** Handle numbers are reserved this many at a time, so that one is never given twice, whatever happens. */
const BLOCK = 65536;
const RESERVED_KEY = 'reserved';
const HANDLE_PREFIX = 'handle/';

export interface HandleRecord {
  vdi: number;
  /** Flags of open(2). */
  flags: number;
  /** The kernel's number of the request that opened it, in decimal: one that comes again finds its handle. */
  unique: string;
}

/**
 * The open handles of this host's mount, stored so that the next worker on the same mount knows them. What is stored
 * survives the worker, and means nothing after the mount has gone.
 */
export class Handles {
  readonly #database: RootDatabase<unknown, string>;
  readonly #handles = new Map<number, HandleRecord>();
  readonly #opens = new Map<number, number>();
  #next: number;
  #reserved: number;
  #reserving: Promise<void> = Promise.resolve();

  /** Opens, or makes, the table in `directory`. */
  constructor(directory: string) {
    this.#database = open<unknown, string>({ path: directory, encoding: 'json' });
    // What an earlier process reserved and did not use is left out: it may have used it and not stored it.
    this.#reserved = (this.#database.get(RESERVED_KEY) as number | undefined) ?? 1;
    this.#next = this.#reserved;
    for (const { key, value } of this.#database.getRange({ start: HANDLE_PREFIX, end: `${HANDLE_PREFIX}~` })) {
      this.#remember(Number(key.slice(HANDLE_PREFIX.length)), value as HandleRecord);
    }
  }

  /** How many handles of the image are open. */
  opens(vdi: number): number {
    return this.#opens.get(vdi) ?? 0;
  }

  get size(): number {
    return this.#handles.size;
  }

  get(handle: number): HandleRecord | undefined {
    return this.#handles.get(handle);
  }

  /** A new handle, stored; the same one again for a request that is sent again. */
  async add(vdi: number, flags: number, request: { unique: bigint; resent: boolean }): Promise<number> {
    const unique = String(request.unique);
    if (request.resent) {
      for (const [handle, record] of this.#handles) {
        if (record.unique === unique && record.vdi === vdi) return handle;
      }
    }
    const handle = this.#next++;
    if (handle === this.#reserved) {
      this.#reserved += BLOCK;
      this.#reserving = this.#reserve(this.#reserved);
    }
    await this.#reserving;
    const record = { vdi, flags, unique };
    this.#remember(handle, record);
    await this.#database.put(HANDLE_PREFIX + handle, record);
    return handle;
  }

  /** Forgets a handle; answers its image, or null where it is not known (released before by a worker that died). */
  async remove(handle: number): Promise<number | null> {
    const record = this.#handles.get(handle);
    if (!record) return null;
    this.#handles.delete(handle);
    const left = this.opens(record.vdi) - 1;
    if (left > 0) this.#opens.set(record.vdi, left);
    else this.#opens.delete(record.vdi);
    await this.#database.remove(HANDLE_PREFIX + handle);
    return record.vdi;
  }

  /** Forgets all: the mount they belonged to is gone. */
  async clear(): Promise<void> {
    const handles = [...this.#handles.keys()];
    this.#handles.clear();
    this.#opens.clear();
    await this.#database.transaction(() => {
      for (const handle of handles) this.#database.remove(HANDLE_PREFIX + handle);
    });
  }

  async #reserve(end: number): Promise<void> {
    await this.#database.put(RESERVED_KEY, end);
    await this.#database.flushed;
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  #remember(handle: number, record: HandleRecord): void {
    this.#handles.set(handle, record);
    this.#opens.set(record.vdi, this.opens(record.vdi) + 1);
  }
}
