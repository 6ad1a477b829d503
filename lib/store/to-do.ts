import type { GroupName, Stay } from './group-records.js';

/** An index of an image. */
export interface IndexName {
  readonly family: number;
  readonly index: number;
}

/**
 * The to-do lists of a disk: for each group whose copy is being completed, the indexes that are not equal to an in-sync
 * member's yet. On disk only; in memory there is a number for each group. Lookups are synchronous.
 */
export interface ToDoApi {
  /**
   * Stores the group's whole list for a stay, in place of any older one: first nothing is stored, then the items are, in
   * chunks, and the mark that they are all there comes last. Durable when it resolves. Items may repeat.
   */
  store(group: GroupName, stay: Stay, items: Iterable<IndexName> | AsyncIterable<IndexName>): Promise<void>;
  /** Whether a list is stored for exactly this stay. Where not, every index counts as on it. */
  isStored(group: GroupName, stay: Stay): boolean;
  /** Whether the stored list has the index. */
  has(group: GroupName, family: number, index: number): boolean;
  /** Items on the stored list. */
  count(group: GroupName): number;
  /** At most `limit` items in the order of family and index, those after `after`. */
  items(group: GroupName, after: IndexName | null, limit: number): IndexName[];
  /** Within a commit of the disk's index: takes the index off the list, if it is on it. The caller holds the index. */
  removeWithin(group: GroupName, family: number, index: number): void;
  /** As `removeWithin`, in a commit of its own: for what turned out to be equal already. */
  remove(group: GroupName, family: number, index: number): Promise<void>;
  /** Forgets the list and its stay; durable when it resolves. */
  drop(group: GroupName): Promise<void>;
}
