import type { BinaryTable } from '../database/environment.js';
import type { ObjectIndex } from './object-index.js';

/*
 * What a disk keeps of each placement group that it has or had a copy of. A group is named by the redundancy of its
 * families and its number: each redundancy has its own table of groups.
 */

export interface GroupName {
  /** Copies of the group's families: 1 to 5. */
  readonly copies: number;
  readonly pg: number;
}

/** A time during which a disk was in `acting` without a break. */
export interface Stay {
  /** The epoch in which the disk joined `acting`. */
  readonly epoch: number;
  /** The kernel's boot id at that time. With another one it is another stay. */
  readonly bootId: string;
}

export interface GroupRecord extends GroupName {
  /** The highest epoch that was adopted with this disk in `insync`; null if never, or since it was erased. */
  readonly insyncEpoch: number | null;
  /** The stay that the stored to-do list belongs to; null where none is stored: then every index counts as on it. */
  readonly stay: Stay | null;
}

/** More than any table has groups. */
const PG_BOUND = 2 ** 20;
const COPIES_BOUND = 2 ** 8;
const KEY_BYTES = 5;
const EPOCH_BYTES = 6;
const NUMBERS_BYTES = 18;

const EMPTY = { insyncEpoch: null, stay: null, toDo: 0 };

/** As stored: the record, and how many items its to-do list has. */
export interface StoredRecord extends GroupRecord {
  readonly toDo: number;
}

/** In place of an epoch: the one of the disk. */
const OF_DISK = 2 ** 48 - 1;
/** Has the epoch of the disk. */
const DISK_KEY = encodeGroup({ copies: 0, pg: 0 });

/** One number for a group. */
export function groupNumber({ copies, pg }: GroupName): number {
  return copies * PG_BOUND + pg;
}

/** Key of a group in tables that are ordered by it. */
export function encodeGroup({ copies, pg }: GroupName): Buffer {
  if (copies >= COPIES_BOUND || pg >= PG_BOUND) throw new Error(`no group: ${copies}/${pg}`);
  const key = Buffer.allocUnsafe(KEY_BYTES);
  key[0] = copies;
  key.writeUInt32BE(pg, 1);
  return key;
}

/**
 * The records of all groups of a disk, read when it is opened and kept in memory. A lookup costs one map access. There is
 * one of every group that the disk may have anything of: it is made before the first object, and goes after the last.
 *
 * Value: insyncEpoch (48 bits), epoch of the stay (48 bits), items of its to-do list (48 bits), boot id of the stay. An
 * epoch of 0 stands for none. Each map that is adopted raises the epoch of nearly all groups, a thousand or more: those
 * that were in sync by the last one say so, and the epoch is stored once, for the disk.
 */
export class GroupRecords {
  readonly #index: ObjectIndex;
  readonly #table: BinaryTable;
  /** With OF_DISK in place of the epoch where that is the disk's. */
  readonly #records = new Map<number, StoredRecord>();
  /** The highest that was adopted with this disk in any group's `insync`; 0: none. */
  #epoch = 0;

  constructor(index: ObjectIndex) {
    this.#index = index;
    this.#table = index.table('groups');
    for (const { key, value } of this.#table.getRange()) {
      if (key.equals(DISK_KEY)) {
        this.#epoch = value.readUIntBE(0, EPOCH_BYTES);
        continue;
      }
      const record = decodeRecord(key, value);
      this.#records.set(groupNumber(record), record);
    }
  }

  /** Null where the disk has no record of the group. */
  get(group: GroupName): StoredRecord | null {
    const record = this.#records.get(groupNumber(group));
    return record ? this.#resolved(record) : null;
  }

  /** All records, ordered by copies and number. */
  all(): StoredRecord[] {
    const records = [...this.#records.values()].sort((a, b) => groupNumber(a) - groupNumber(b));
    return records.map((record) => this.#resolved(record));
  }

  #resolved(record: StoredRecord): StoredRecord {
    return record.insyncEpoch === OF_DISK ? { ...record, insyncEpoch: this.#epoch } : record;
  }

  /**
   * Stores that this disk was in `insync` in `epoch`, for all the groups in one commit. Survives the process when it
   * resolves; a power cut may take it back, which is safe: an older epoch makes a longer list. A lower epoch than the
   * one that is stored changes nothing. Cheap where these are the groups of the last call.
   */
  async setInsync(groups: Iterable<GroupName>, epoch: number): Promise<void> {
    const raised = [...groups].filter((group) => (this.get(group)?.insyncEpoch ?? 0) < epoch);
    if (raised.length === 0) return;
    await this.#index.commit(() => {
      if (epoch > this.#epoch) this.#raiseDisk(raised, epoch);
      else for (const group of raised) this.changeWithin(group, { insyncEpoch: epoch });
    });
  }

  #raiseDisk(groups: readonly GroupName[], epoch: number): void {
    const raised = new Set(groups.map(groupNumber));
    for (const [number, record] of this.#records) {
      if (record.insyncEpoch === OF_DISK && !raised.has(number))
        this.changeWithin(record, { insyncEpoch: this.#epoch });
    }
    this.#epoch = epoch;
    const value = Buffer.allocUnsafe(EPOCH_BYTES);
    value.writeUIntBE(epoch, 0, EPOCH_BYTES);
    void this.#table.put(DISK_KEY, value);
    for (const group of groups) {
      const isCurrent = this.#records.get(groupNumber(group))?.insyncEpoch === OF_DISK;
      if (!isCurrent) this.changeWithin(group, { insyncEpoch: OF_DISK });
    }
  }

  /** Erases the record of having been in sync. Durable when it resolves. */
  async eraseInsync(group: GroupName): Promise<void> {
    if (this.get(group)?.insyncEpoch) await this.#index.commit(() => this.changeWithin(group, { insyncEpoch: null }));
    // Also where an earlier call has erased it and its caller did not wait.
    await this.#index.durable();
  }

  /** Within a commit of the disk's index. Makes the record where there is none. */
  changeWithin({ copies, pg }: GroupName, change: Partial<Omit<StoredRecord, keyof GroupName>>): void {
    const number = groupNumber({ copies, pg });
    const record: StoredRecord = { ...(this.#records.get(number) ?? EMPTY), ...change, copies, pg };
    this.#records.set(number, record);
    void this.#table.put(encodeGroup(record), encodeRecord(record));
  }

  /** Within the commit of the disk's index that takes away the last that it has of the group. */
  forgetWithin(group: GroupName): void {
    this.#records.delete(groupNumber(group));
    void this.#table.remove(encodeGroup(group));
  }
}

function encodeRecord({ insyncEpoch, stay, toDo }: StoredRecord): Buffer {
  if (insyncEpoch === 0 || stay?.epoch === 0) throw new Error('epoch 0 is none');
  const numbers = Buffer.allocUnsafe(NUMBERS_BYTES);
  numbers.writeUIntBE(insyncEpoch ?? 0, 0, 6);
  numbers.writeUIntBE(stay?.epoch ?? 0, 6, 6);
  numbers.writeUIntBE(toDo, 12, 6);
  return Buffer.concat([numbers, Buffer.from(stay?.bootId ?? '')]);
}

/** Throws where the bytes are no record. */
function decodeRecord(key: Buffer, value: Buffer): StoredRecord {
  if (key.length !== KEY_BYTES || value.length < NUMBERS_BYTES) {
    throw new Error(`group record of an unknown form: ${key.toString('hex')} ${value.toString('hex')}`);
  }
  const epoch = value.readUIntBE(6, 6);
  return {
    copies: key[0]!,
    pg: key.readUInt32BE(1),
    insyncEpoch: value.readUIntBE(0, 6) || null,
    stay: epoch === 0 ? null : { epoch, bootId: value.toString('utf8', NUMBERS_BYTES) },
    toDo: value.readUIntBE(12, 6),
  };
}
