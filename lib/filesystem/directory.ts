import type { Coordination } from '../coordination/coordination.js';
import type { Attributes, SetAttributes } from '../fuse/operations.js';
import { decodeRecord, encodeRecord, now } from '../vdi/records.js';
import { type DirectoryRecord, directoryAttributes, PERMISSION_BITS } from './attributes.js';

const KEY = '/directory';

/**
 * The root directory's own attributes. Its owner and mode are stored; its times too where other hosts are to see them, and
 * are else remembered since the start.
 */
export class Directory {
  readonly #coordination: Coordination;
  readonly #isShared: boolean;
  #record: DirectoryRecord;
  #revision: number;

  private constructor(coordination: Coordination, isShared: boolean, record: DirectoryRecord, revision: number) {
    this.#coordination = coordination;
    this.#isShared = isShared;
    this.#record = record;
    this.#revision = revision;
  }

  /** `isShared`: whether other hosts change it as well. Rejects as the store does. */
  static async open(coordination: Coordination, isShared: boolean): Promise<Directory> {
    const time = now();
    const stored = await coordination.get(KEY);
    const record = stored
      ? decodeRecord<DirectoryRecord>(stored.value)
      : { mode: 0o755, uid: 0, gid: 0, atime: time, mtime: time, ctime: time };
    const times = isShared ? {} : { mtime: time, ctime: time };
    return new Directory(coordination, isShared, { ...record, ...times }, stored?.modRevision ?? 0);
  }

  /** Rejects as the store does. */
  async attributes(): Promise<Attributes> {
    if (this.#isShared) await this.#read();
    return directoryAttributes(this.#record);
  }

  /** A name was made, changed or removed. Rejects as the store does. */
  async touch(): Promise<void> {
    const time = now();
    if (this.#isShared) await this.#change((record) => ({ ...record, mtime: time, ctime: time }));
    else this.#record = { ...this.#record, mtime: time, ctime: time };
  }

  async change(changes: SetAttributes): Promise<Attributes> {
    const time = now();
    const timeOf = (value: SetAttributes['atime'], before: DirectoryRecord['atime']) => {
      return value === undefined ? before : value === 'now' ? time : value;
    };
    await this.#change((record) => ({
      mode: changes.mode === undefined ? record.mode : changes.mode & PERMISSION_BITS,
      uid: changes.uid ?? record.uid,
      gid: changes.gid ?? record.gid,
      atime: timeOf(changes.atime, record.atime),
      mtime: timeOf(changes.mtime, record.mtime),
      ctime: time,
    }));
    return directoryAttributes(this.#record);
  }

  async #change(change: (record: DirectoryRecord) => DirectoryRecord): Promise<void> {
    for (;;) {
      const record = change(this.#record);
      const { succeeded, revision } = await this.#coordination.transaction({
        compare: [{ key: KEY, modRevision: this.#revision }],
        success: [{ put: KEY, value: encodeRecord(record) }],
      });
      if (succeeded) {
        this.#record = record;
        this.#revision = revision;
        return;
      }
      await this.#read();
    }
  }

  async #read(): Promise<void> {
    const stored = await this.#coordination.get(KEY);
    if (!stored || stored.modRevision < this.#revision) return;
    this.#record = decodeRecord<DirectoryRecord>(stored.value);
    this.#revision = stored.modRevision;
  }
}
