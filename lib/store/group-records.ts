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

/** The records of all groups of a disk, read when it is opened and kept in memory. Lookups cost one map access. */
export interface GroupRecordsApi {
  /** Null where the disk has no record of the group. */
  get(group: GroupName): GroupRecord | null;
  /** All records, ordered by copies and number. */
  all(): GroupRecord[];
  /**
   * Stores that this disk was in `insync` in `epoch`, for all the groups in one commit. Survives the process when it
   * resolves; a power cut may take it back, which is safe: an older epoch makes a longer list. A lower epoch than the
   * one that is stored changes nothing.
   */
  setInsync(groups: Iterable<GroupName>, epoch: number): Promise<void>;
  /** Erases the record of having been in sync. Durable when it resolves. */
  eraseInsync(group: GroupName): Promise<void>;
}
