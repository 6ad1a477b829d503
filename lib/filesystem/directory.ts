import type { Coordination } from '../coordination/coordination.js';
import type { Attributes, SetAttributes } from '../fuse/operations.js';
import { decodeRecord, encodeRecord, now } from '../vdi/records.js';
import { type DirectoryRecord, directoryAttributes, PERMISSION_BITS } from './attributes.js';

const KEY = '/directory';

/** The root directory's own attributes. Its owner and mode are stored; its times since the start are remembered. */
export class Directory {
  readonly #coordination: Coordination;
  #record: DirectoryRecord;

  private constructor(coordination: Coordination, record: DirectoryRecord) {
    this.#coordination = coordination;
    this.#record = record;
  }

  static async open(coordination: Coordination): Promise<Directory> {
    const time = now();
    const stored = await coordination.get(KEY);
    const record = stored
      ? decodeRecord<DirectoryRecord>(stored.value)
      : { mode: 0o755, uid: 0, gid: 0, atime: time, mtime: time, ctime: time };
    return new Directory(coordination, { ...record, mtime: time, ctime: time });
  }

  attributes(): Attributes {
    return directoryAttributes(this.#record);
  }

  /** A name was made, changed or removed. */
  touch(): void {
    const time = now();
    this.#record = { ...this.#record, mtime: time, ctime: time };
  }

  async change(changes: SetAttributes): Promise<Attributes> {
    const time = now();
    const { atime, mtime } = this.#record;
    this.#record = {
      mode: changes.mode === undefined ? this.#record.mode : changes.mode & PERMISSION_BITS,
      uid: changes.uid ?? this.#record.uid,
      gid: changes.gid ?? this.#record.gid,
      atime: changes.atime === undefined ? atime : changes.atime === 'now' ? time : changes.atime,
      mtime: changes.mtime === undefined ? mtime : changes.mtime === 'now' ? time : changes.mtime,
      ctime: time,
    };
    await this.#coordination.transaction({ success: [{ put: KEY, value: encodeRecord(this.#record) }] });
    return this.attributes();
  }
}
