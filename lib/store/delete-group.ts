import type { Disk } from './disk.js';
import type { GroupLayout } from './group-list.js';
import type { GroupName } from './group-records.js';

/**
 * Deletes all that the disk has of a group that it is no member of. Its record of having been in sync is erased durably
 * before the first deletion. Safe to break off by `signal` or a crash, and to repeat. Nothing else may work on the group.
 */
export type DeleteGroup = (disk: Disk, layout: GroupLayout, group: GroupName, signal?: AbortSignal) => Promise<void>;
