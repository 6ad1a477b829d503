import { FIELD_MAX } from '../../store/constants.js';
import { RING_INCOMPLETE_MAX, RING_SLOTS } from '../../store/write-ring.js';

/**
 * What a message between hosts may hold. A longer one is refused by whoever gets it, and not sent: each limit is above
 * what whoever makes the message goes by, or what a value of the coordination store, of 1 MiB, has room for.
 */

/** All of a message, its data included. An object's data is the most that one should have. */
export const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

/** Copies of a family. */
export const COPIES_MAX = 5;
/** Groups of a table. */
export const GROUPS_MAX = 65536;
/** One above the highest index that there can be. */
export const INDEX_END = FIELD_MAX + 1;
/** Layers of a chain, or at one index. */
export const LAYERS_MAX = 65536;
/** Indexes that are looked for, or told, at once. */
export const INDEXES_MAX = 65536;
/** Entries of a group that are told at once: a batch, and all layers of an index more. */
export const ENTRIES_MAX = 4096 + LAYERS_MAX;
/** Ranges of one object. */
export const RANGES_MAX = 4096;
/** Objects of one retirement. */
export const RETIRED_MAX = 65536;
/** Disks of one host. */
export const DISKS_MAX = 1024;
/** Disks whose copies of an object are compared with one another. */
export const COMPARED_MAX = 1024;
/** Objects of one disk that may differ from other copies. */
export const ACTIVE_MAX = 1024 * 1024;
/** Noted ranges of one disk: as many as there are slots in its ring. */
export const RING_RANGES_MAX = RING_SLOTS;
/** Images of which a ring has not noted everything. */
export const INCOMPLETE_MAX = RING_INCOMPLETE_MAX;
/** Hosts that one report names. */
export const PEERS_MAX = 4096;

/** Of a host's name. */
export const HOST_BYTES_MAX = 255;
/** Of a kernel's boot id. */
export const BOOT_ID_BYTES_MAX = 255;
/** Of a family's merges in words: less than its record has. */
export const MERGES_BYTES_MAX = 1024 * 1024;
/** Of the name of an era: two numbers. */
export const ERA_BYTES_MAX = 64;
