import type { Coordination } from '../coordination/coordination.js';
import { StoreError } from '../store/index.js';
import { decodeRecord, encodeRecord } from '../vdi/records.js';

export interface DiskEntry {
  /** Unique in the cluster and never used again. */
  readonly number: number;
  /** Absolute path. */
  readonly directory: string;
  /** `new`: registered, and perhaps not made yet. `removing`: being emptied, to be let go then. */
  readonly state: 'new' | 'ok' | 'removing';
}

const NEXT_DISK = '/next/disk';

export function directoriesKey(host: string): string {
  return `/directories/${host}`;
}

/** Where this host's disks are: `/directories/<host>` in the coordination store, which only this host changes. */
export class DiskDirectories {
  readonly #coordination: Coordination;
  readonly #key: string;
  #entries: readonly DiskEntry[];

  private constructor(coordination: Coordination, key: string, entries: readonly DiskEntry[]) {
    this.#coordination = coordination;
    this.#key = key;
    this.#entries = entries;
  }

  static async open(coordination: Coordination, host: string): Promise<DiskDirectories> {
    const key = directoriesKey(host);
    const stored = await coordination.get(key);
    return new DiskDirectories(coordination, key, stored ? decodeRecord<DiskEntry[]>(stored.value) : []);
  }

  get entries(): readonly DiskEntry[] {
    return this.#entries;
  }

  entry(number: number): DiskEntry | undefined {
    return this.#entries.find((disk) => disk.number === number);
  }

  /** Registers a directory under a new number, before anything is made in it. Throws StoreError LOCKED. */
  async add(directory: string): Promise<DiskEntry> {
    const present = this.#entries.find((disk) => disk.directory === directory);
    if (present) throw new StoreError('LOCKED', `${directory} is disk ${present.number} already`);
    const next = await this.#coordination.get(NEXT_DISK);
    const number = next ? decodeRecord<number>(next.value) : 1;
    const entry: DiskEntry = { number, directory, state: 'new' };
    const entries = [...this.#entries, entry];
    const { succeeded } = await this.#coordination.transaction({
      compare: [{ key: NEXT_DISK, modRevision: next?.modRevision ?? 0 }],
      success: [
        { put: NEXT_DISK, value: Buffer.from(String(number + 1)) },
        { put: this.#key, value: encodeRecord(entries) },
      ],
    });
    if (!succeeded) return this.add(directory);
    this.#entries = entries;
    return entry;
  }

  async setState(number: number, state: DiskEntry['state']): Promise<void> {
    await this.#store(this.#entries.map((disk) => (disk.number === number ? { ...disk, state } : disk)));
  }

  async forget(number: number): Promise<void> {
    await this.#store(this.#entries.filter((disk) => disk.number !== number));
  }

  async #store(entries: readonly DiskEntry[]): Promise<void> {
    await this.#coordination.transaction({ success: [{ put: this.#key, value: encodeRecord(entries) }] });
    this.#entries = entries;
  }
}
