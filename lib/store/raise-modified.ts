import type { Disk } from './disk.js';

/**
 * Raises `modified` of every active object whose group's `since` has changed. `sinceOf` answers the new `since` of an
 * index's group, or null where it did not change. Durable when it resolves.
 */
export type RaiseModified = (disk: Disk, sinceOf: (family: number, index: number) => number | null) => Promise<void>;
