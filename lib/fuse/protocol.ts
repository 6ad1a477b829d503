/**
 * Numbers of the kernel's FUSE protocol, from include/uapi/linux/fuse.h (7.45). Little-endian hosts only, like every
 * platform that Node runs on with /dev/fuse.
 */

export const KERNEL_MAJOR = 7;
/** What we speak at the most; the kernel takes the lower of the two. */
export const KERNEL_MINOR = 41;
/** Older kernels lack what the mount relies on (INIT's 64-byte answer). */
export const KERNEL_MINOR_MIN = 31;

export const IN_HEADER_BYTES = 40;
export const OUT_HEADER_BYTES = 16;
export const ATTR_BYTES = 88;
export const ENTRY_OUT_BYTES = 128;
export const ATTR_OUT_BYTES = 104;
export const OPEN_OUT_BYTES = 16;
export const INIT_OUT_BYTES = 64;
export const STATFS_OUT_BYTES = 80;
export const LOCK_OUT_BYTES = 24;
export const DIRENT_HEADER_BYTES = 24;
export const WRITE_IN_BYTES = 40;

/** The greatest read or write of one request, 1 MiB: 256 pages, the kernel's own default limit. */
export const REQUEST_BYTES_MAX = 1024 * 1024;
export const PAGES_MAX = 256;

export const OPCODE = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  GETLK: 31,
  SETLK: 32,
  SETLKW: 33,
  CREATE: 35,
  INTERRUPT: 36,
  DESTROY: 38,
  IOCTL: 39,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  COPY_FILE_RANGE_64: 53,
} as const;

/** Capabilities in INIT; bits from 32 on travel in flags2. */
export const INIT_FLAG = {
  ASYNC_READ: 1n << 0n,
  POSIX_LOCKS: 1n << 1n,
  BIG_WRITES: 1n << 5n,
  DONT_MASK: 1n << 6n,
  FLOCK_LOCKS: 1n << 10n,
  DO_READDIRPLUS: 1n << 13n,
  READDIRPLUS_AUTO: 1n << 14n,
  ASYNC_DIO: 1n << 15n,
  PARALLEL_DIROPS: 1n << 18n,
  MAX_PAGES: 1n << 22n,
  INIT_EXT: 1n << 30n,
  DIRECT_IO_ALLOW_MMAP: 1n << 36n,
  HAS_RESEND: 1n << 39n,
} as const;

/** Flags of the answer to OPEN and CREATE. */
export const FOPEN_DIRECT_IO = 1 << 0;
export const FOPEN_PARALLEL_DIRECT_WRITES = 1 << 6;

/** Unsolicited messages: their code travels in the header's error field, with unique 0. */
export const NOTIFY_RESEND = 7;
/** Set in `unique` of a request that is sent again. */
export const UNIQUE_RESEND = 1n << 63n;

/** Bits of SETATTR's `valid`. */
export const FATTR = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  FH: 1 << 6,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
} as const;

export const GETATTR_FH = 1 << 0;
export const LOCK_IS_FLOCK = 1 << 0;
export const FSYNC_DATA_ONLY = 1 << 0;
export const RELEASE_FLOCK_UNLOCK = 1 << 1;

/** l_type of struct file_lock (asm-generic/fcntl.h). */
export const F_RDLCK = 0;
export const F_WRLCK = 1;
export const F_UNLCK = 2;
