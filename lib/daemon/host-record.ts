import type { Coordination } from '../coordination/coordination.js';
import { StoreError } from '../store/index.js';
import { decodeRecord, encodeRecord } from '../vdi/records.js';

export interface DiskEntry {
  /** Unique in the cluster and never used again. */
  number: number;
  /** Absolute path. */
  directory: string;
  /** `new`: registered, and perhaps not made yet. `removing`: being emptied, to be let go then. */
  state: 'new' | 'ok' | 'removing';
}

interface HostRecord {
  id: string;
  name: string;
  zone: string;
  disks: DiskEntry[];
}

const NEXT_DISK = '/next/disk';

/** This host's entry in the coordination store, `/hosts/<id>`. Only this host changes it. */
export class HostRecordKeeper {
  readonly #coordination: Coordination;
  readonly #key: string;
  #record: HostRecord;

  private constructor(coordination: Coordination, key: string, record: HostRecord) {
    this.#coordination = coordination;
    this.#key = key;
    this.#record = record;
  }

  static async open(coordination: Coordination, id: string, { name, zone }: { name: string; zone: string }) {
    const key = `/hosts/${id}`;
    const stored = await coordination.get(key);
    const record = stored ? decodeRecord<HostRecord>(stored.value) : { id, name, zone, disks: [] };
    const keeper = new HostRecordKeeper(coordination, key, record);
    if (!stored || record.name !== name || record.zone !== zone) await keeper.#store({ ...record, name, zone });
    return keeper;
  }

  get current(): HostRecord {
    return this.#record;
  }

  entry(number: number): DiskEntry | undefined {
    return this.#record.disks.find((disk) => disk.number === number);
  }

  /** Registers a directory under a new number, before anything is made in it. Throws StoreError EXISTS. */
  async addDisk(directory: string): Promise<DiskEntry> {
    const present = this.#record.disks.find((disk) => disk.directory === directory);
    if (present) throw new StoreError('LOCKED', `${directory} is disk ${present.number} already`);
    const next = await this.#coordination.get(NEXT_DISK);
    const number = next ? decodeRecord<number>(next.value) : 1;
    const entry: DiskEntry = { number, directory, state: 'new' };
    const record = { ...this.#record, disks: [...this.#record.disks, entry] };
    const { succeeded } = await this.#coordination.transaction({
      compare: [{ key: NEXT_DISK, modRevision: next?.modRevision ?? 0 }],
      success: [
        { put: NEXT_DISK, value: Buffer.from(String(number + 1)) },
        { put: this.#key, value: encodeRecord(record) },
      ],
    });
    if (!succeeded) return this.addDisk(directory);
    this.#record = record;
    return entry;
  }

  async setDiskState(number: number, state: DiskEntry['state']): Promise<void> {
    const disks = this.#record.disks.map((disk) => (disk.number === number ? { ...disk, state } : disk));
    await this.#store({ ...this.#record, disks });
  }

  async forgetDisk(number: number): Promise<void> {
    await this.#store({ ...this.#record, disks: this.#record.disks.filter((disk) => disk.number !== number) });
  }

  async #store(record: HostRecord): Promise<void> {
    await this.#coordination.transaction({ success: [{ put: this.#key, value: encodeRecord(record) }] });
    this.#record = record;
  }
}
