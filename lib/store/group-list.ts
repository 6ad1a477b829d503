import type { Disk } from './disk.js';
import type { EntryKind } from './entry.js';

/**
 * Where indexes belong, of the families of one redundancy. The store knows no placement: its caller says.
 */
export interface GroupLayout {
  /** Number of groups of each table. */
  readonly groupCount: number;
  /** The group of an index; the next index of a family is in the next group, round and round. */
  groupOf(family: number, index: number): number;
  /** Whether the family has this redundancy. */
  has(family: number): boolean;
}

export interface ListedEntry {
  family: number;
  index: number;
  layer: number;
  kind: EntryKind;
  /** Epoch of the last write, raised where the object was active when the group's `since` changed. */
  modified: number;
  active: boolean;
}

/** A place in the order of a list: entries of this index are behind it. */
export interface ListPosition {
  readonly family: number;
  readonly index: number;
}

/** What a function with the signature of `listGroup` answers. */
export type ListGroup = (
  disk: Disk,
  layout: GroupLayout,
  pg: number,
  after?: ListPosition | null,
) => AsyncGenerator<ListedEntry[]>;
