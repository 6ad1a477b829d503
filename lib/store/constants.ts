/** Bytes of an image that one object covers, and the most that its file may hold. */
export const OBJECT_BYTES = 4 * 1024 * 1024;
/** What zeros are looked for in, and the smallest hole that is kept. */
export const BLOCK_BYTES = 4096;
/** Bytes of one unit of st_blocks. */
export const STAT_BLOCK_BYTES = 512;
/** Version of a disk's directory layout; a disk with a higher one is refused. */
export const FORMAT_VERSION = 2;

/** Numbers that fit their field in the index (32 bits each); a layer or family above is a mistake of the caller. */
export const FIELD_MAX = 2 ** 32 - 1;

/** Open descriptors kept a disk, unless set. */
export const FILES_OPEN_MAX = 4096;
/** Files with unsynced writes from which on the oldest are synced in the background. */
export const DIRTY_FILES_MAX = 512;
/** Files with unsynced writes at which a write that would add one waits. */
export const DIRTY_FILES_LIMIT = 1024;
/** Files synced together by one round of the background. */
export const DIRTY_FILES_BATCH = 64;

/** Objects of one layer recorded as active on a disk, at most. */
export const ACTIVE_OBJECTS_MAX = 1024;
/** From this many on the oldest are retired. */
export const ACTIVE_OBJECTS_HIGH = (ACTIVE_OBJECTS_MAX * 3) / 4;
/** Objects retired in one commit. */
export const RETIRE_BATCH = 256;
/** An object that was not written for this long is retired by the clock. */
export const RETIRE_IDLE_MS = 5_000;

/** File operations of a disk in the kernel at once, unless set; more wait. One that hangs leaves threads to others. */
export const OPERATIONS_MAX = 16;
/** Seconds after which an operation that does not end takes the disk out. */
export const OPERATION_SECONDS_MAX = 10;
/** Between two looks at a disk's health and space. */
export const CHECK_INTERVAL_MS = 1_000;

/** Files that wait to be unlinked before a deletion waits for them. */
export const TRASH_FILES_MAX = 4096;
/** Serial numbers reserved at a time. */
export const SERIAL_BLOCK = 4096;

/** Measured files whose figures wait for a commit, before one is made for them. */
export const FIGURES_PENDING_MAX = 4096;

/** Chunk in which files are copied, filled and searched. */
export const CHUNK_BYTES = 1024 * 1024;
/** Chunks in use on a disk at once. */
export const CHUNKS_MAX = 8;
/** Index entries looked at before others get a turn. */
export const SCAN_BATCH = 4096;
