import type Fuse from 'fuse-native';
import type { Attributes, FilesystemStatistics, Timestamp } from './operations.js';

const UINT32_MAX = 0xffffffff;

/** For the two names that every directory has. */
export const DIRECTORY_STAT: Fuse.Stat = {
  mode: 0o040755,
  uid: 0,
  gid: 0,
  size: 0,
  nlink: 2,
  ino: 1,
  blocks: 0,
  atime: 0,
  mtime: 0,
  ctime: 0,
};

export function statOf(attributes: Attributes): Fuse.Stat {
  return {
    mode: attributes.mode,
    uid: attributes.uid,
    gid: attributes.gid,
    size: attributes.size,
    nlink: attributes.links,
    ino: attributes.node,
    blocks: attributes.blocks,
    atime: millisecondsOf(attributes.atime),
    mtime: millisecondsOf(attributes.mtime),
    ctime: millisecondsOf(attributes.ctime),
  };
}

/** Not before 1970: the binding has no sign. */
function millisecondsOf({ seconds, nanoseconds }: Timestamp): number {
  return Math.max(0, seconds * 1000 + Math.floor(nanoseconds / 1_000_000));
}

export function timestampOf(milliseconds: number): Timestamp {
  const seconds = Math.floor(milliseconds / 1000);
  // Of a time before 1970 the remainder would be negative.
  return { seconds, nanoseconds: (milliseconds - seconds * 1000) * 1_000_000 };
}

/** The binding has 32 bits for a count, so blocks are made larger until they fit. */
export function statfsOf(statistics: FilesystemStatistics): Fuse.Statfs {
  let scale = 1;
  while (statistics.blocks / scale > UINT32_MAX) scale *= 2;
  const scaled = (count: number) => Math.floor(count / scale);
  const files = (count: number) => Math.min(count, UINT32_MAX);
  return {
    bsize: statistics.blockSize * scale,
    frsize: statistics.blockSize * scale,
    blocks: scaled(statistics.blocks),
    bfree: scaled(statistics.blocksFree),
    bavail: scaled(statistics.blocksAvailable),
    files: files(statistics.files),
    ffree: files(statistics.filesFree),
    favail: files(statistics.filesFree),
    namemax: statistics.nameLengthMax,
  };
}
