import type { BinaryTable } from '../database/environment.js';
import { encodeGroup, type GroupName, type GroupRecords, groupNumber, type Stay } from './group-records.js';
import type { ObjectIndex } from './object-index.js';

/** Items put or removed in one commit. */
const TODO_BATCH = 1024;
const KEY_BYTES = 13;
/** A key says it all. */
const VALUE = Buffer.from([1]);

/** An index of an image. */
export interface IndexName {
  readonly family: number;
  readonly index: number;
}

/**
 * The to-do lists of a disk: for each group whose copy is being completed, the indexes that are not equal to an in-sync
 * member's yet. On disk only; in memory there is a number for each group. Lookups are synchronous.
 *
 * Key: copies (8 bits), group (32 bits), family (32 bits), index (32 bits).
 */
export class ToDo {
  readonly #index: ObjectIndex;
  readonly #table: BinaryTable;
  readonly #groups: GroupRecords;
  /** Groups whose list is stored and durable. */
  readonly #stored = new Set<number>();
  readonly #key = Buffer.allocUnsafe(KEY_BYTES);

  constructor(index: ObjectIndex, groups: GroupRecords) {
    this.#index = index;
    this.#table = index.table('to-do');
    this.#groups = groups;
    for (const record of groups.all()) if (record.stay) this.#stored.add(groupNumber(record));
  }

  /**
   * Stores the group's whole list for a stay, in place of any older one: first nothing is stored, then the items are, in
   * chunks, and the mark that they are all there comes last. Durable when it resolves. Items may repeat.
   */
  async store(group: GroupName, stay: Stay, items: Iterable<IndexName> | AsyncIterable<IndexName>): Promise<void> {
    await this.#clear(group);
    // Before anything is stored that the group has: who deletes what is left of it goes by the records.
    if (!this.#groups.get(group)) await this.#index.commit(() => this.#groups.changeWithin(group, {}));
    let chunk: IndexName[] = [];
    const commit = () =>
      this.#index.commit(() => {
        for (const { family, index } of chunk) void this.#table.put(encodeItem(group, family, index), VALUE);
      });
    for await (const item of items) {
      chunk.push(item);
      if (chunk.length < TODO_BATCH) continue;
      await commit();
      chunk = [];
    }
    if (chunk.length > 0) await commit();
    let toDo = 0;
    for (const _ of this.#table.getKeys(rangeOf(group))) toDo++;
    await this.#index.commit(() => this.#groups.changeWithin(group, { stay, toDo }));
    await this.#index.durable();
    this.#stored.add(groupNumber(group));
  }

  /** Whether a list is stored for exactly this stay. Where not, every index counts as on it. */
  isStored(group: GroupName, stay: Stay): boolean {
    if (!this.#stored.has(groupNumber(group))) return false;
    const stored = this.#groups.get(group)?.stay;
    return stored?.epoch === stay.epoch && stored.bootId === stay.bootId;
  }

  /** Whether the stored list has the index. */
  has(group: GroupName, family: number, index: number): boolean {
    if (!this.#stored.has(groupNumber(group))) return false;
    return this.#table.getBinaryFast(writeItem(this.#key, group, family, index)) !== undefined;
  }

  /** Items on the stored list. */
  count(group: GroupName): number {
    return this.#groups.get(group)?.toDo ?? 0;
  }

  /** At most `limit` items in the order of family and index, those after `after`. */
  items(group: GroupName, after: IndexName | null, limit: number): IndexName[] {
    if (!this.#stored.has(groupNumber(group))) return [];
    const range = rangeOf(group);
    if (after) range.start = encodeItem(group, after.family, after.index);
    const keys = this.#table.getKeys({ ...range, exclusiveStart: after !== null, limit });
    return Array.from(keys, decodeItem);
  }

  /** Within a commit of the disk's index: takes the index off the list, if it is on it. The caller holds the index. */
  removeWithin(group: GroupName, family: number, index: number): void {
    if (!this.has(group, family, index)) return;
    void this.#table.remove(encodeItem(group, family, index));
    this.#groups.changeWithin(group, { toDo: this.count(group) - 1 });
  }

  /** As `removeWithin`, in a commit of its own: for what turned out to be equal already. */
  async remove(group: GroupName, family: number, index: number): Promise<void> {
    if (this.has(group, family, index)) await this.#index.commit(() => this.removeWithin(group, family, index));
  }

  /** Forgets the list and its stay; durable when it resolves. */
  async drop(group: GroupName): Promise<void> {
    await this.#clear(group);
    await this.#index.durable();
  }

  /** Takes the mark away, then the items, those of a list that was never stored as a whole included. */
  async #clear(group: GroupName): Promise<void> {
    this.#stored.delete(groupNumber(group));
    if (this.#groups.get(group)?.stay) {
      await this.#index.commit(() => this.#groups.changeWithin(group, { stay: null, toDo: 0 }));
    }
    for (;;) {
      const keys = [...this.#table.getKeys({ ...rangeOf(group), limit: TODO_BATCH })];
      if (keys.length === 0) return;
      await this.#index.commit(() => {
        for (const key of keys) void this.#table.remove(key);
      });
    }
  }
}

function rangeOf(group: GroupName): { start: Buffer; end: Buffer } {
  return { start: encodeGroup(group), end: encodeGroup({ copies: group.copies, pg: group.pg + 1 }) };
}

function writeItem(target: Buffer, { copies, pg }: GroupName, family: number, index: number): Buffer {
  target[0] = copies;
  target.writeUInt32BE(pg, 1);
  target.writeUInt32BE(family, 5);
  target.writeUInt32BE(index, 9);
  return target;
}

function encodeItem(group: GroupName, family: number, index: number): Buffer {
  return writeItem(Buffer.allocUnsafe(KEY_BYTES), group, family, index);
}

function decodeItem(key: Buffer): IndexName {
  if (key.length !== KEY_BYTES) throw new Error(`to-do key of ${key.length} bytes`);
  return { family: key.readUInt32BE(5), index: key.readUInt32BE(9) };
}
