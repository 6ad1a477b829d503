import type { Assertions } from 'brittle';

/**
 * What a mounted file system carries. Where it does not carry something, a check asserts how it is refused instead of
 * being left out.
 */
export interface Features {
  /** One directory of regular files: directories, links, special files and names with a leading dot are refused. */
  flat: boolean;
  /** A new file belongs to its maker; false: to the user that the file system runs as. */
  owners: boolean;
  /** fallocate(2); false: EOPNOTSUPP. */
  fallocate: boolean;
  /** SEEK_DATA and SEEK_HOLE find holes; false: all is data up to the end of the file. */
  seek: boolean;
  /** copy_file_range(2); false: refused, and the caller copies by itself. */
  copyFileRange: boolean;
  /** POSIX and OFD byte-range locks. */
  locks: boolean;
  flock: boolean;
  /** O_DIRECT reads that are not a multiple of 512 bytes answer EINVAL; false: they are served. */
  directIo: boolean;
  /** MAP_SHARED; false: ENODEV. */
  mmap: boolean;
  /** RENAME_NOREPLACE and RENAME_EXCHANGE; false: EINVAL. */
  renameFlags: boolean;
  /** Extended attributes in the user namespace can be set; false: EOPNOTSUPP. */
  xattrs: boolean;
  /** Nanoseconds that the file system keeps of a time: 1, or 1,000,000 for milliseconds. */
  timeGranularity: number;
  /** atime and mtime can be set one without the other and to different values; false: both become the atime. */
  separateTimes: boolean;
  /** Processes that serve the mount, whose open descriptors are counted; this one unless given. */
  servers?: readonly number[];
}

/** One check: it leaves the directory as it found it. */
export type Check = (directory: string, t: Assertions, features: Features) => Promise<void>;
export type Checks = Record<string, Check>;

/** A local file system with everything. */
export const ALL_FEATURES: Features = {
  flat: false,
  owners: true,
  fallocate: true,
  seek: true,
  copyFileRange: true,
  locks: true,
  flock: true,
  directIo: true,
  mmap: true,
  renameFlags: true,
  xattrs: true,
  timeGranularity: 1,
  separateTimes: true,
};

/** What libfuse 2.9 and its binding carry of a flat file system that does everything. */
export const NATIVE_FEATURES: Features = {
  ...ALL_FEATURES,
  flat: true,
  owners: false,
  fallocate: false,
  seek: false,
  mmap: false,
  renameFlags: false,
  timeGranularity: 1_000_000,
  separateTimes: false,
};
